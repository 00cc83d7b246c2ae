// Trains a network with TensorFlow.js to tell two spirals apart, and writes its weights. This program has no code for
// Farlight: it runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node train.mjs [--epochs N] [--batch-size N] [--learning-rate X]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';

const { values: flags } = parseArgs({
  options: {
    epochs: { type: 'string', default: '20' },
    'batch-size': { type: 'string', default: '32' },
    'learning-rate': { type: 'string', default: '0.05' },
  },
});
const POINTS = 128;

if (!(await tf.setBackend('webgpu'))) {
  console.error('This program needs a GPU: navigator.gpu has no adapter.');
  process.exit(1);
}

const model = tf.sequential({
  layers: [
    tf.layers.dense({ inputShape: [2], units: 16, activation: 'tanh', kernelInitializer: seeded(1) }),
    tf.layers.dense({ units: 1, activation: 'sigmoid', kernelInitializer: seeded(2) }),
  ],
});
model.compile({ optimizer: tf.train.adam(Number(flags['learning-rate'])), loss: 'meanSquaredError' });

const { points, classes } = spirals();
const { history } = await model.fit(tf.tensor2d(points), tf.tensor2d(classes), {
  epochs: Number(flags.epochs),
  batchSize: Number(flags['batch-size']),
  shuffle: false,
});
const weights = await Promise.all(model.getWeights().map((weight) => weight.array()));
writeFileSync('weights.json', JSON.stringify(weights));
console.log(`Loss: ${history.loss[0].toFixed(4)} at first, ${history.loss.at(-1).toFixed(4)} at the end`);
console.log('Wrote weights.json');

/** Two spirals, a class each. */
function spirals() {
  const points = [];
  const classes = [];
  for (let at = 0; at < POINTS; at += 1) {
    const angle = (at / POINTS) * 2 * Math.PI;
    const turned = at % 2 === 0 ? angle : angle + Math.PI;
    points.push([(angle / 6) * Math.cos(turned), (angle / 6) * Math.sin(turned)]);
    classes.push([at % 2]);
  }
  return { points, classes };
}

function seeded(seed) {
  return tf.initializers.glorotUniform({ seed });
}
