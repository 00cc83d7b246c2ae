// Silero's voice activity detector (v5) through ONNX Runtime Web.
import { readFile } from 'node:fs/promises';
import { runModel, sessionStart } from './model.mjs';

const session = sessionStart();
const { ort } = await import('../../examples/support/onnx-runtime.mjs');

const package_ = import.meta.resolve('@ricky0123/vad-web/package.json');
const file = await readFile(new URL('./dist/silero_vad_v5.onnx', package_));
// The layout that gives right numbers: see docs/silero.md.
const provider = { name: 'webgpu', preferredLayout: 'NCHW' };
const model = await ort.InferenceSession.create(file, { executionProviders: [provider] });
const rate = new ort.Tensor('int64', BigInt64Array.of(16_000n), []);
const samples = Float32Array.from({ length: 576 }, (_, at) => Math.sin((at + process.pid) / 20) / 4);
let state = new ort.Tensor('float32', new Float32Array(2 * 128), [2, 1, 128]);
const infer = async () => {
  const input = new ort.Tensor('float32', samples, [1, samples.length]);
  ({ stateN: state } = await model.run({ input, state, sr: rate }));
};
await runModel(infer, {
  session,
  inputBytes: samples.byteLength + state.data.byteLength,
  // Its commands repeat with period 6. The rest is for V8.
  warmup: 100,
});
