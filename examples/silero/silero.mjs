// Finds speech with Silero's voice activity detector (v5) on ONNX Runtime Web: on the GPU and then on the
// WebAssembly backend, and compares both. The voice is synthetic. This program has no code for Farlight: it
// runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node --liftoff-only silero.mjs
import { readFile } from 'node:fs/promises';
import { reportDifference } from '../support/compare.mjs';
import { ort } from '../support/onnx-runtime.mjs';
import { detectSpeech } from './detect.mjs';
import { synthesizeSpeech } from './speech.mjs';

const SAMPLE_RATE = 16_000;
const SECONDS = 0.512;
/** For a probability, in single precision. */
const TOLERANCE = 1e-3;

const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
const model = await readFile(new URL('./dist/silero_vad_v5.onnx', package_));
const audio = synthesizeSpeech({ sampleRate: SAMPLE_RATE, samples: SECONDS * SAMPLE_RATE });

// The default layout, NHWC, gives wrong numbers for this model on any GPU (docs/silero.md of Farlight).
const gpu = await detectOn({ name: 'webgpu', preferredLayout: 'NCHW' });
const cpu = await detectOn({ name: 'wasm' });
console.log(`Speech, by pieces of 32 ms: ${Array.from(gpu, (each) => each.toFixed(2)).join(' ')}`);
reportDifference(gpu, cpu, TOLERANCE);

async function detectOn(provider) {
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  const { probabilities } = await detectSpeech(session, audio, SAMPLE_RATE);
  await session.release();
  return probabilities;
}
