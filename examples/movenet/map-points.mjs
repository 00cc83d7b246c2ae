// The key points from the maps of MoveNet's network: the last steps of its TensorFlow.js file, for one picture.

export const KEY_POINTS = [
  'nose',
  'left eye',
  'right eye',
  'left ear',
  'right ear',
  'left shoulder',
  'right shoulder',
  'left elbow',
  'right elbow',
  'left wrist',
  'right wrist',
  'left hip',
  'right hip',
  'left knee',
  'right knee',
  'left ankle',
  'right ankle',
];

const SIDE = 48;
/** Added to each distance, so that a high score two pixels away counts for more than a low one at the place. */
const NEAR = 1.8;

/**
 * Finds the person in the middle, and each key point near where that person's centre expects it. `maps` has `heat`,
 * `centre`, `regress` and `offset`, channels first. Returns y and x (0 to 1 in the picture) and the score of each point.
 */
export function mapPoints({ heat, centre, regress, offset }) {
  const channel = (map, index) => map.subarray(index * SIDE * SIDE, (index + 1) * SIDE * SIDE);
  const person = best((at) => centre[at] / (distance(at, SIDE / 2, SIDE / 2) + NEAR));
  const points = new Float32Array(KEY_POINTS.length * 3);
  for (let point = 0; point < KEY_POINTS.length; point++) {
    const score = channel(heat, point);
    const expectedY = row(person) + channel(regress, 2 * point)[person];
    const expectedX = column(person) + channel(regress, 2 * point + 1)[person];
    const at = best((pixel) => score[pixel] / (distance(pixel, expectedY, expectedX) + NEAR));
    const y = (row(at) + channel(offset, 2 * point)[at]) / SIDE;
    const x = (column(at) + channel(offset, 2 * point + 1)[at]) / SIDE;
    points.set([y, x, score[at]], point * 3);
  }
  return points;
}

const row = (at) => Math.floor(at / SIDE);
const column = (at) => at % SIDE;
const distance = (at, y, x) => Math.hypot(row(at) - y, column(at) - x);

/** The pixel with the highest value. */
function best(scoreAt) {
  let highest = { at: 0, value: -Infinity };
  for (let at = 0; at < SIDE * SIDE; at++) {
    const value = scoreAt(at);
    if (value > highest.value) highest = { at, value };
  }
  return highest.at;
}
