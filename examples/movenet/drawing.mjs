import { drawLine } from '../support/lines.mjs';
import { EDGES } from './key-points.mjs';

const MIN_SCORE = 0.25;
const LEFT = [64, 200, 255];
const RIGHT = [255, 176, 32];
const MIDDLE = [120, 255, 120];

/** Draws the key points, and the bones between them, into the image. */
export function drawSkeleton(image, points) {
  const radius = Math.max(2, Math.round(Math.max(image.width, image.height) / 160));
  const found = new Map(points.filter(({ score }) => score >= MIN_SCORE).map((point) => [point.name, point]));
  for (const [from, to] of EDGES) {
    if (found.has(from) && found.has(to)) {
      drawLine(image, found.get(from), found.get(to), radius / 2, colourOf(from, to));
    }
  }
  for (const point of found.values()) {
    drawLine(image, point, point, radius * 1.5, [0, 0, 0]);
    drawLine(image, point, point, radius, colourOf(point.name, point.name));
  }
}

function colourOf(from, to) {
  const side = (name) => name.split(' ')[0];
  if (side(from) === 'left' && side(to) === 'left') return LEFT;
  if (side(from) === 'right' && side(to) === 'right') return RIGHT;
  return MIDDLE;
}
