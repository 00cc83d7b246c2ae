// Silero's voice activity detector (v5) on ONNX Runtime Web: half a second of audio, in chunks that carry state.
import { readFile } from 'node:fs/promises';
import { ort } from './onnx-runtime.mjs';
import { measure, print, readFlags } from './report.mjs';
import { synthesizeSpeech } from './speech.mjs';

const SAMPLE_RATE = 16_000;
const CHUNK = 512;
const CONTEXT = 64; // samples of the chunk before, which the model wants to see again
const CHUNKS = 16;

// ONNX Runtime's own default layout, NHWC, gives wrong numbers for this model on any GPU: see docs/silero.md.
const { runs, reference, layout } = readFlags({ layout: { type: 'string', default: 'NCHW' } });
const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
const model = await readFile(new URL('./dist/silero_vad_v5.onnx', package_));
const audio = synthesizeSpeech({ sampleRate: SAMPLE_RATE, samples: CHUNKS * CHUNK });

const gpu = await run({ name: 'webgpu', preferredLayout: layout }, runs);
const cpu = reference && (await run({ name: 'wasm' }, 1));
print('silero', `onnxruntime-web ${ort.env.versions.web}`, gpu, cpu);

function run(provider, runs) {
  const load = () => ort.InferenceSession.create(model, { executionProviders: [provider] });
  return measure({ provider: provider.name, runs, load, infer, digest });
}

async function infer(session) {
  const rate = new ort.Tensor('int64', BigInt64Array.of(BigInt(SAMPLE_RATE)), []);
  const probabilities = new Float32Array(CHUNKS);
  let state = new ort.Tensor('float32', new Float32Array(2 * 128), [2, 1, 128]);
  for (let chunk = 0; chunk < CHUNKS; chunk++) {
    const samples = new Float32Array(CONTEXT + CHUNK);
    const start = chunk * CHUNK;
    samples.set(audio.subarray(Math.max(0, start - CONTEXT), start + CHUNK), chunk === 0 ? CONTEXT : 0);
    const input = new ort.Tensor('float32', samples, [1, samples.length]);
    const { output, stateN } = await session.run({ input, state, sr: rate });
    probabilities[chunk] = output.data[0];
    state = stateN;
  }
  return [
    { name: 'probabilities', shape: [CHUNKS], data: probabilities },
    { name: 'state', shape: state.dims, data: state.data },
  ];
}

function digest([{ data }]) {
  return Array.from(data, (probability) => Number(probability.toFixed(4)));
}
