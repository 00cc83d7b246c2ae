// A TensorFlow.js program that reads four outputs of a step one after another.
import { runModel, sessionStart } from './model.mjs';

const session = sessionStart();
const tf = await import('@tensorflow/tfjs');
await import('@tensorflow/tfjs-backend-webgpu');
await tf.setBackend('webgpu');

const INPUTS = 64;
/** The first two have the same length, so that the length does not tell them apart. */
const OUTPUTS = [16, 16, 32, 48];
const weights = OUTPUTS.map((outputs) => tf.variable(tf.randomNormal([INPUTS, outputs])));
let count = 0;

async function step() {
  count += 1;
  const values = Float32Array.from({ length: INPUTS }, (_, at) => Math.sin(at + count));
  const input = tf.tensor2d(values, [1, INPUTS]);
  const outputs = tf.tidy(() => weights.map((weight) => tf.relu(tf.matMul(input, weight))));
  for (const output of outputs) await output.data();
  tf.dispose([input, ...outputs]);
}

await runModel(step, { session, inputBytes: 4 * INPUTS, warmup: 100 });
