// Finds a person in a photo with MoveNet, on TensorFlow.js and its WebGPU backend. This program has no code
// for Farlight: it runs on any GPU that `navigator.gpu` has.
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { drawSkeleton } from '../movenet/drawing.mjs';
import { estimate, keyPoints, preparePhoto, samplePart } from '../movenet/key-points.mjs';
import { say } from './page.mjs';

/** `?runs=N` measures N inferences, `?reference` compares the first with the CPU's result. */
const flags = new URLSearchParams(location.search);
const MODEL = '/models/movenet-lightning.json';

export async function main() {
  if (!(await tf.setBackend('webgpu'))) throw new Error('navigator.gpu has no adapter');
  const photo = samplePart(await load('/photo.jpg'));
  const input = preparePhoto(photo);
  say('Loading MoveNet ...');
  const model = await tf.loadGraphModel(MODEL);
  say('Finding a person; the first time the host compiles the shaders ...');
  const values = await estimate(model, input);
  const times = [];
  for (let run = 0; run < Number(flags.get('runs') ?? 1); run += 1) {
    const start = performance.now();
    await estimate(model, input);
    times.push(performance.now() - start);
  }
  const ms = times.sort((x, y) => x - y)[times.length >> 1];
  const points = keyPoints(values, input);
  const fromCpu = flags.has('reference') ? await difference(input, values) : undefined;
  drawSkeleton(photo, points);
  show(photo);
  const steady = ms ? ` Once the shaders are compiled it takes ${ms.toFixed(0)} ms.` : '';
  say(`Found a person.${steady}`);
  return { points, ms, fromCpu };
}

/** The largest difference from TensorFlow.js's CPU backend, which takes its time. */
async function difference(input, values) {
  say('Asking the CPU ...');
  await tf.setBackend('cpu');
  const reference = await estimate(await tf.loadGraphModel(MODEL), input);
  await tf.setBackend('webgpu');
  return Math.max(...values.map((value, at) => Math.abs(value - reference[at])));
}

async function load(url) {
  const image = await createImageBitmap(await (await fetch(url)).blob());
  const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, image.width, image.height);
}

function show({ width, height, data }) {
  const canvas = document.querySelector('canvas');
  const image = new ImageData(new Uint8ClampedArray(data), width, height);
  Object.assign(canvas, { width, height }).getContext('2d').putImageData(image, 0, 0);
}
