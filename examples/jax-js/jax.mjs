// Trains a small network with jax-js: matrix products, gradients and compiled kernels, on the GPU and then on
// its WebAssembly backend, and compares both. This program has no code for Farlight: it runs on any GPU that
// `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node jax.mjs [--steps N]
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { defaultDevice, init, jit, numpy as np, random, tree, valueAndGrad } from '@jax-js/jax';

const { values: flags } = parseArgs({ options: { steps: { type: 'string', default: '30' } } });
const steps = Number(flags.steps);
const SAMPLES = 128;
const HIDDEN = 32;
const RATE = 0.1;
/** In single precision: both sum in different orders, and GPUs may compute tanh less exactly. */
const TOLERANCE = 1e-3;

if (!(await init('webgpu')).includes('webgpu')) {
  console.error('This program needs a GPU: navigator.gpu has no adapter.');
  process.exit(1);
}
const gpu = await train('webgpu');
const cpu = await train('wasm');

const digest = createHash('sha256').update(gpu.weights).digest('hex');
const error = Math.max(furthest(gpu.losses, cpu.losses), furthest(gpu.weights, cpu.weights));
console.log(
  `Loss: ${gpu.losses[0].toFixed(4)} at first, ${gpu.losses.at(-1).toFixed(4)} after ${steps} steps`,
);
console.log(`Largest difference from the CPU: ${error.toExponential(1)}`);
console.log(`Weights: sha256 ${digest}`);
if (!(error < TOLERANCE)) {
  console.error(`The difference should be below ${TOLERANCE}.`);
  process.exitCode = 1;
}

/** Fits sin(3a) + b * b on a square, by gradient descent. */
async function train(device) {
  defaultDevice(device);
  const [inputs, first, second] = [1, 2, 3].map((seed) => random.key(seed));
  const x = random.uniform(inputs, [SAMPLES, 2], { minval: -1, maxval: 1 });
  const [a, b] = [0, 1].map((column) => x.ref.slice([], column));
  const y = np.sin(a.mul(3)).add(np.square(b)).reshape([SAMPLES, 1]);
  let weights = {
    hidden: random.uniform(first, [2, HIDDEN], { minval: -1, maxval: 1 }),
    bias: np.zeros([HIDDEN]),
    output: random.uniform(second, [HIDDEN, 1], { minval: -0.3, maxval: 0.3 }),
  };

  // Passing an array on uses it up, unless `.ref` takes another reference.
  const step = jit((weights, x, y) => {
    const [loss, gradient] = valueAndGrad(lossOf)(tree.ref(weights), x, y);
    return { loss, weights: tree.map((weight, slope) => weight.sub(slope.mul(RATE)), weights, gradient) };
  });
  const losses = [];
  for (let count = 0; count < steps; count++) {
    const result = step(weights, x.ref, y.ref);
    weights = result.weights;
    losses.push(...(await result.loss.data()));
  }
  // Only a page can read at once, as `dataSync` does: on a GPU it goes through a canvas.
  const parts = await Promise.all(Object.values(weights).map((weight) => weight.data()));
  return { losses, weights: Float32Array.from(parts.flatMap((part) => [...part])) };
}

function lossOf({ hidden, bias, output }, x, y) {
  const layer = np.tanh(np.matmul(x, hidden).add(bias));
  return np.square(np.matmul(layer, output).sub(y)).mean();
}

function furthest(values, others) {
  return Math.max(...Array.from(values, (value, i) => Math.abs(value - others[i])));
}
