// TensorFlow.js at its smallest: a product of two matrices, and a small network that classifies points. Both
// run on the GPU and on TensorFlow.js's CPU backend, and are compared. This program has no code for Farlight:
// it runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node tfjs.mjs
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { reportDifference } from '../support/compare.mjs';
import { randomArray } from '../support/random.mjs';

const SIZE = 64;
const POINTS = 8;
/** In single precision, since both sum in different orders. */
const TOLERANCE = 1e-4;

const gpu = await computeOn('webgpu');
const cpu = await computeOn('cpu');
console.log(`Product of two ${SIZE} x ${SIZE} matrices: it begins with ${gpu.product[0].toFixed(4)}`);
console.log(`Probability of the first of 3 classes, for ${POINTS} points: ${percent(gpu.classes)}`);
reportDifference(
  Float32Array.of(...gpu.product, ...gpu.classes),
  Float32Array.of(...cpu.product, ...cpu.classes),
  TOLERANCE,
);

async function computeOn(backend) {
  if (!(await tf.setBackend(backend))) {
    console.error('This program needs a GPU: navigator.gpu has no adapter.');
    process.exit(1);
  }
  const matrix = (seed) => tf.tensor2d(randomArray(SIZE * SIZE, seed), [SIZE, SIZE]);
  const product = tf.tidy(() => tf.matMul(matrix(1), matrix(2)));

  const model = tf.sequential({
    layers: [
      tf.layers.dense({ inputShape: [2], units: 16, activation: 'tanh', name: `hidden-${backend}` }),
      tf.layers.dense({ units: 3, activation: 'softmax', name: `classes-${backend}` }),
    ],
  });
  // Fixed weights; a real program loads or trains them.
  model.setWeights(
    model.getWeights().map(({ shape, size }, at) => tf.tensor(randomArray(size, at + 3), shape)),
  );
  const classes = model.predict(tf.tensor2d(randomArray(POINTS * 2, 9, 4), [POINTS, 2]));
  return { product: await product.data(), classes: await classes.data() };
}

function percent(classes) {
  return Array.from({ length: POINTS }, (_, at) => `${(classes[at * 3] * 100).toFixed(0)}%`).join(' ');
}
