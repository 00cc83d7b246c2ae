// Silero's voice activity detector (v5) on ONNX Runtime Web: half a second of audio, in chunks that carry state.
import { readFile } from 'node:fs/promises';
import { detectSpeech } from '../../../examples/silero/detect.mjs';
import { synthesizeSpeech } from '../../../examples/silero/speech.mjs';
import { ort } from '../../../examples/support/onnx-runtime.mjs';
import { measure, print, readFlags } from './report.mjs';

const SAMPLE_RATE = 16_000;
const CHUNK = 512;
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
  const { probabilities, state } = await detectSpeech(session, audio, SAMPLE_RATE);
  return [
    { name: 'probabilities', shape: [CHUNKS], data: probabilities },
    { name: 'state', shape: state.dims, data: state.data },
  ];
}

function digest([{ data }]) {
  return Array.from(data, (probability) => Number(probability.toFixed(4)));
}
