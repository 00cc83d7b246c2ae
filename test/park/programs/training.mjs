// Trains a small network on TensorFlow.js, and prints its weights. With --pause MS it does nothing between two steps.
import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';

const pause = Number(process.argv[2] ?? 0);
const steps = Number(process.argv[3] ?? 6);
if (!(await tf.setBackend('webgpu'))) throw new Error('TensorFlow.js has no webgpu backend here');

const layer = (units, seed, more = {}) =>
  tf.layers.dense({
    units,
    kernelInitializer: tf.initializers.glorotUniform({ seed }),
    ...more,
  });
const model = tf.sequential({
  layers: [layer(8, 1, { inputShape: [4], activation: 'relu' }), layer(1, 2)],
});
model.compile({ optimizer: tf.train.adam(0.05), loss: 'meanSquaredError' });
const inputs = tf.randomNormal([32, 4], 0, 1, 'float32', 3);
const targets = inputs.sum(1, true).square();
const losses = [];
for (let step = 0; step < steps; step += 1) {
  losses.push(await model.trainOnBatch(inputs, targets));
  await wait(pause);
}
const weights = await Promise.all(model.getWeights().map((weight) => weight.data()));
const digest = createHash('sha256');
for (const each of weights) digest.update(each);
console.log(JSON.stringify({ losses, weights: digest.digest('hex') }));
tf.backend().device.destroy?.();
process.exit(0);
