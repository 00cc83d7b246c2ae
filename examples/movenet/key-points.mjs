// MoveNet finds one person in a photo: 17 key points, each with a position and a score. This part of the example runs
// in Node and in pages.
import * as tf from '@tensorflow/tfjs';
import { crop, letterbox, rgb } from '../support/pixels.mjs';
import { KEY_POINTS } from './map-points.mjs';

export { KEY_POINTS };

export const EDGES = [
  ['nose', 'left eye'],
  ['nose', 'right eye'],
  ['left eye', 'left ear'],
  ['right eye', 'right ear'],
  ['left shoulder', 'right shoulder'],
  ['left shoulder', 'left elbow'],
  ['left elbow', 'left wrist'],
  ['right shoulder', 'right elbow'],
  ['right elbow', 'right wrist'],
  ['left shoulder', 'left hip'],
  ['right shoulder', 'right hip'],
  ['left hip', 'right hip'],
  ['left hip', 'left knee'],
  ['left knee', 'left ankle'],
  ['right hip', 'right knee'],
  ['right knee', 'right ankle'],
];

const INPUT_SIZE = 192;

/**
 * Cuts one person out of the group photo `@vladmandic/face-api/demo/sample1.jpg`, since MoveNet looks for
 * one.
 */
export function samplePart(group) {
  return crop(group, { x: 1180, y: 100, width: 740, height: 1180 });
}

/** Makes a photo ready for `estimate`, once for any number of inferences. */
export function preparePhoto(photo) {
  const { data, width, height, toImage } = letterbox(photo, INPUT_SIZE);
  return { pixels: rgb({ data, width, height }), toImage };
}

/** The model's own output: y, x (0 to 1 in the model's square) and score of each key point. */
export async function estimate(model, { pixels }) {
  const output = tf.tidy(() => {
    const input = tf.tensor4d(pixels, [1, INPUT_SIZE, INPUT_SIZE, 3], 'int32');
    return model.execute(input);
  });
  const values = await output.data();
  output.dispose();
  return values;
}

/** The key points by name, in pixels of the photo. */
export function keyPoints(values, { toImage }) {
  return KEY_POINTS.map((name, index) => {
    const [y, x, score] = values.subarray(index * 3, index * 3 + 3);
    return { name, ...toImage(x, y), score };
  });
}
