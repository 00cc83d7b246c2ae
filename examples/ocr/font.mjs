// A font of strokes, for pages that the example draws itself: capitals, digits, and some marks.
import { drawLine } from '../support/lines.mjs';

/** The height of a capital, in units of the font. */
const CAPITAL = 14;
const GAP = 3.6;
/** The radius of a stroke. */
const STROKE = 0.9;
const INK = [20, 20, 30];

/**
 * By character: its width, and its strokes. A stroke is a list of points `x y`, or an arc of an ellipse:
 * `@ centre-x centre-y radius-x radius-y from to`, in degrees, clockwise from the right.
 */
const GLYPHS = {
  A: [10, '0 14 5 0 10 14', '1.8 9.4 8.2 9.4'],
  B: [8.4, '4.5 0 0 0 0 14 4.8 14', '@ 4.5 3.4 3.3 3.4 -90 90', '0 6.8 4.8 6.8', '@ 4.8 10.4 3.6 3.6 -90 90'],
  C: [10.5, '@ 6 7 6 7 310 50'],
  D: [9.5, '3.5 0 0 0 0 14 3.5 14', '@ 3.5 7 6 7 -90 90'],
  E: [8, '8 0 0 0 0 14 8 14', '0 6.8 7 6.8'],
  F: [7.6, '7.6 0 0 0 0 14', '0 6.8 6.8 6.8'],
  G: [12, '@ 6.2 7 6.2 7 310 0', '12.4 7 7.6 7'],
  H: [9, '0 0 0 14', '9 0 9 14', '0 6.8 9 6.8'],
  I: [0, '0 0 0 14'],
  J: [6, '6 0 6 10.5', '@ 3 10.5 3 3.5 0 150'],
  K: [9, '0 0 0 14', '8.5 0 0 8.8', '3.2 5.8 9 14'],
  L: [7.8, '0 0 0 14 7.8 14'],
  M: [11, '0 14 0 0 5.5 10 11 0 11 14'],
  N: [9, '0 14 0 0 9 14 9 0'],
  O: [13, '@ 6.5 7 6.5 7 0 360'],
  P: [8.7, '0 14 0 0 4.8 0', '@ 4.8 3.9 3.9 3.9 -90 90', '4.8 7.8 0 7.8'],
  Q: [13, '@ 6.5 7 6.5 7 0 360', '8 10 13 14.8'],
  R: [9, '0 14 0 0 4.8 0', '@ 4.8 3.9 3.9 3.9 -90 90', '4.8 7.8 0 7.8', '4.6 7.8 9 14'],
  S: [9, '@ 4.5 3.6 4.1 3.6 330 90', '@ 4.5 10.6 4.5 3.4 -90 155'],
  T: [10, '0 0 10 0', '5 0 5 14'],
  U: [9.2, '0 0 0 9.3', '@ 4.6 9.3 4.6 4.7 180 0', '9.2 9.3 9.2 0'],
  V: [10, '0 0 5 14 10 0'],
  W: [15, '0 0 3.7 14 7.5 1 11.3 14 15 0'],
  X: [9.4, '0 0 9.4 14', '9.4 0 0 14'],
  Y: [10, '0 0 5 7.4 10 0', '5 7.4 5 14'],
  Z: [9, '0 0 9 0 0 14 9 14'],
  0: [8.4, '@ 4.2 7 4.2 7 0 360'],
  1: [4, '0.2 3 4 0 4 14'],
  2: [8.4, '@ 4.2 4.2 4.1 4.2 195 380', '8.05 5.64 0 14 8.4 14'],
  3: [8.2, '@ 4 3.6 3.7 3.6 205 450', '@ 4 10.5 4.2 3.5 -90 155'],
  4: [8.8, '6.6 14 6.6 0 0 9.8 8.8 9.8'],
  5: [8.2, '7.6 0 1.2 0 0.6 6.6', '@ 4 9.4 4.3 4.6 218 510'],
  6: [8.6, '@ 4.3 9.6 4.2 4.4 0 360', '@ 8.2 9.6 8.1 9.8 180 255'],
  7: [8.4, '0 0 8.4 0 3 14'],
  8: [8.4, '@ 4.2 3.5 3.7 3.5 0 360', '@ 4.2 10.5 4.2 3.5 0 360'],
  9: [8.6, '@ 4.3 4.4 4.2 4.4 0 360', '@ 0.4 4.4 8.1 9.8 0 75'],
  '.': [0.4, '0 14 0.4 14'],
  ':': [0.4, '0 5 0.4 5', '0 13 0.4 13'],
  '-': [5, '0 8 5 8'],
  ' ': [5],
};

/**
 * Draws a line of text. `size` is the height of its capitals in pixels, `x` and `y` are the corner where it begins: left
 * and top, or right and bottom of a line that is upside down.
 */
export function drawText(image, { text, x, y, size, upsideDown = false }) {
  const scale = (size / CAPITAL) * (upsideDown ? -1 : 1);
  let left = 0;
  for (const character of text) {
    const [width, ...strokes] = GLYPHS[character] ?? fail(`the font has no "${character}"`);
    for (const stroke of strokes) {
      const points = pointsOf(stroke).map((point) => ({
        x: x + (left + point.x) * scale,
        y: y + point.y * scale,
      }));
      for (let at = 1; at < points.length; at++) {
        drawLine(image, points[at - 1], points[at], STROKE * Math.abs(scale), INK);
      }
    }
    left += width + GAP;
  }
}

function pointsOf(stroke) {
  const numbers = stroke.replace('@', '').trim().split(' ').map(Number);
  if (!stroke.startsWith('@')) {
    return Array.from({ length: numbers.length / 2 }, (_, at) => ({
      x: numbers[2 * at],
      y: numbers[2 * at + 1],
    }));
  }
  const [x, y, radiusX, radiusY, from, to] = numbers;
  const pieces = Math.ceil(Math.abs(to - from) / 10);
  return Array.from({ length: pieces + 1 }, (_, at) => {
    const angle = ((from + ((to - from) * at) / pieces) * Math.PI) / 180;
    return { x: x + radiusX * Math.cos(angle), y: y + radiusY * Math.sin(angle) };
  });
}

function fail(message) {
  throw new Error(message);
}
