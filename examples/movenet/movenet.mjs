// Finds a person in a photo with MoveNet, on TensorFlow.js and its WebGPU backend. This program has no code
// for Farlight: it runs on any GPU that `navigator.gpu` has, here or elsewhere.
//
//   farlight run -- node movenet.mjs [--photo FILE.jpg] [--out FILE.png] [--runs N]
import { parseArgs } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { readImage, writePng } from '../support/image.mjs';
import { formatMs, withProgress } from '../support/progress.mjs';
import { drawSkeleton } from './drawing.mjs';
import { estimate, keyPoints, loadMoveNet, preparePhoto, samplePhoto } from './pose.mjs';

const { values: flags } = parseArgs({
  options: {
    photo: { type: 'string' },
    out: { type: 'string', default: 'movenet.png' },
    runs: { type: 'string', default: '5' },
  },
});

if (!(await tf.setBackend('webgpu'))) {
  console.error('This program needs a GPU: navigator.gpu has no adapter.');
  process.exit(1);
}

const photo = flags.photo ? readImage(flags.photo) : samplePhoto();
const input = preparePhoto(photo);
const { result: model } = await withProgress('Loading MoveNet', loadMoveNet);
const { result: values } = await withProgress('First inference (compiles the shaders)', () =>
  estimate(model, input),
);

const times = [];
for (let run = 1; run <= Number(flags.runs); run++) {
  const { ms } = await withProgress(`Inference ${run + 1}`, () => estimate(model, input));
  times.push(ms);
}

const points = keyPoints(values, input);
drawSkeleton(photo, points);
writePng(flags.out, photo);

for (const { name, x, y, score } of points) {
  console.log(
    `${name.padEnd(15)} x ${x.toFixed(1).padStart(7)}  y ${y.toFixed(1).padStart(7)}  score ${score.toFixed(3)}`,
  );
}
if (times.length > 0) {
  const median = times.toSorted((a, b) => a - b)[times.length >> 1];
  console.log(`Median of ${times.length} inferences: ${formatMs(median)}`);
}
console.log(`Wrote ${flags.out}`);
