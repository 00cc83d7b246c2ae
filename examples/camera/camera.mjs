// The functions of the example.
import { KEY_POINTS, mapPoints } from '../movenet/map-points.mjs';
import { decodeImage } from '../support/image.mjs';
import { letterbox } from '../support/pixels.mjs';

const SIZE = 192;
const MIN_SCORE = 0.3;

/** A JPEG or PNG file, as MoveNet takes it: fitted into a square, channels first. */
export function read({ data }) {
  const square = letterbox(decodeImage(data.data), SIZE);
  const area = SIZE * SIZE;
  const pixels = Float32Array.from({ length: 3 * area }, (_, at) => {
    const channel = Math.floor(at / area);
    return square.data[4 * (at % area) + channel];
  });
  return { pixels: { shape: [1, 3, SIZE, SIZE], data: pixels } };
}

/** Each key point's y and x (0 to 1 in the square) and score. */
export function points({ heat, centre, regress, offset }) {
  const data = mapPoints({
    heat: heat.data,
    centre: centre.data,
    regress: regress.data,
    offset: offset.data,
  });
  return { points: { shape: [KEY_POINTS.length, 3], data } };
}

/** The half of the picture that the person is in. */
export function side({ points }) {
  const seen = KEY_POINTS.map((_, index) => points.data.subarray(3 * index, 3 * index + 3)).filter(
    ([, , score]) => score >= MIN_SCORE,
  );
  const x = seen.reduce((sum, [, x]) => sum + x, 0) / seen.length;
  const half = x < 0.5 ? 'left' : 'right';
  return { side: { data: [seen.length === 0 ? 'nobody' : half] } };
}
