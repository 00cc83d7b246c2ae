import { crop as cut, resize } from '../../support/image.mjs';
import { findBoxes } from './boxes.mjs';
import { planes } from './planes.mjs';

/** The models take lines of this height. */
const HEIGHT = 48;
/** The width that the classifier sees. */
const THUMBNAIL = 192;
/** Lines are as wide as the widest of their page, in these steps: with few widths, lines of more pages run together. */
const STEP = 32;
/** How sure the classifier must be that a line is upside down. */
const SURE = 0.9;

/** Cuts the lines out of a page. `map` is the detector's: how likely is text at each pixel? */
export function crop({ pixels, map }) {
  const [height, width] = pixels.shape;
  const page = { width, height, data: pixels.data };
  const boxes = findBoxes({ width: map.shape[3], height: map.shape[2], data: map.data }, page);
  const cuts = boxes.map(([left, top, right, bottom]) =>
    cut(page, { x: left, y: top, width: right - left, height: bottom - top }),
  );
  const widths = cuts.map((line) => Math.max(1, Math.round((HEIGHT * line.width) / line.height)));
  const thumbnails = widths.map((each) => Math.min(each, THUMBNAIL));
  return {
    boxes: { shape: [boxes.length, 4], data: Float32Array.from(boxes.flat()) },
    widths: { data: Int32Array.from(widths) },
    lines: images(cuts, widths, Math.ceil(Math.max(1, ...widths) / STEP) * STEP),
    thumbnails: images(cuts, thumbnails, THUMBNAIL),
  };
}

/** Turns the lines that are upside down. `directions` has two probabilities of each line: upright, and upside down. */
export function turn({ lines, widths, directions }) {
  const [count, channels, height, width] = lines.shape;
  const data = lines.data.slice();
  for (let line = 0; line < count; line++) {
    if (directions.data[2 * line + 1] < SURE) continue;
    const used = widths.data[line];
    for (let channel = 0; channel < channels; channel++) {
      const plane = (line * channels + channel) * height * width;
      for (let y = 0; y < height; y++) {
        const row = lines.data.slice(plane + y * width, plane + y * width + used);
        data.set(row.reverse(), plane + (height - 1 - y) * width);
      }
    }
  }
  return { lines: { shape: lines.shape, data } };
}

/** The lines, each scaled to its width, one behind the other in a tensor. Behind each is gray. */
function images(cuts, widths, width) {
  const size = 3 * HEIGHT * width;
  const data = new Float32Array(cuts.length * size);
  for (const [index, line] of cuts.entries()) {
    const scaled = resize(line, widths[index], HEIGHT);
    planes(scaled, data.subarray(index * size, (index + 1) * size), width, (value) => value / 127.5 - 1);
  }
  return { shape: [cuts.length, 3, HEIGHT, width], data };
}
