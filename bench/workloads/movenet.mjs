// MoveNet through TensorFlow.js: the first inference, and the steady ones after it.
import { counters, median, perStep, report, sessionStart, stepsOnDemand, times } from './report.mjs';

const session = sessionStart();
const tf = await import('@tensorflow/tfjs');
await import('@tensorflow/tfjs-backend-webgpu');
const { estimate, loadMoveNet, preparePhoto, samplePhoto } = await import('../../examples/movenet/pose.mjs');

// Where nothing is computed, V8 compiles both ends for longer than it takes: what is measured comes after that.
const inert = process.env.FARLIGHT_ADAPTER === 'null';
const RUNS = Number(process.env.BENCH_RUNS ?? (inert ? 40 : 5));
// TF.js pools its buffers; from the third inference on its commands repeat.
const WARMUP = Number(process.env.BENCH_WARMUP ?? (inert ? 100 : 3));
await tf.setBackend('webgpu');
const model = await loadMoveNet();
const input = preparePhoto(samplePhoto());
// No two processes see the same picture.
input.pixels[0] = process.pid % 251;
const [first] = await times(1, 0, () => estimate(model, input));
const result = {
  firstMs: first,
  startMs: performance.now() - session.at,
  first: await counters(),
  inputBytes: 192 * 192 * 3 * 4,
};
if (RUNS > 0) {
  await times(WARMUP, 0, () => estimate(model, input));
  await stepsOnDemand(() => estimate(model, input));
  const before = await counters();
  const steady = await times(RUNS, 0, () => estimate(model, input));
  Object.assign(result, { stepMs: median(steady), perStep: perStep(before, await counters(), RUNS) });
}
report(result);
