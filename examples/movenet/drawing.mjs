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

/**
 * A line with round ends. The color of each pixel depends on its distance from the line, which smooths the
 * edges.
 */
function drawLine(image, from, to, radius, colour) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const lengthSquared = dx * dx + dy * dy || 1;
  const reach = radius + 1;
  const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
  const right = Math.min(image.width - 1, Math.ceil(Math.max(from.x, to.x) + reach));
  const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
  const bottom = Math.min(image.height - 1, Math.ceil(Math.max(from.y, to.y) + reach));
  for (let y = top; y <= bottom; y++) {
    for (let x = left; x <= right; x++) {
      const along = Math.min(1, Math.max(0, ((x - from.x) * dx + (y - from.y) * dy) / lengthSquared));
      const distance = Math.hypot(x - from.x - along * dx, y - from.y - along * dy);
      const cover = Math.min(1, Math.max(0, radius + 0.5 - distance));
      if (cover > 0) blend(image, x, y, colour, cover);
    }
  }
}

function blend({ width, data }, x, y, colour, cover) {
  const at = (y * width + x) * 4;
  for (let channel = 0; channel < 3; channel++) {
    data[at + channel] = data[at + channel] * (1 - cover) + colour[channel] * cover;
  }
}
