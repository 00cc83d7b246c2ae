// MoveNet through TensorFlow.js: the first inference, and the steady ones after it.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { estimate, loadMoveNet, preparePhoto, samplePhoto } from '../../examples/movenet/pose.mjs';
import { counters, median, perStep, report, times } from './report.mjs';

// Where nothing is computed, many are needed before V8 has compiled both ends.
const RUNS = Number(process.env.BENCH_RUNS ?? (process.env.FARLIGHT_ADAPTER === 'null' ? 40 : 5));
await tf.setBackend('webgpu');
const model = await loadMoveNet();
const input = preparePhoto(samplePhoto());
const [first] = await times(1, 0, () => estimate(model, input));
// TF.js pools its buffers; from the third inference on its commands repeat.
await times(3, 0, () => estimate(model, input));
const before = await counters();
const steady = await times(RUNS, 0, () => estimate(model, input));
report({ firstMs: first, stepMs: median(steady), perStep: perStep(before, await counters(), RUNS) });
