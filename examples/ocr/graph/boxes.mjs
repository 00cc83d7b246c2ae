/** From this probability on, a pixel of the map is text. */
const TEXT = 0.3;
/** The least mean probability of a line. */
const LINE = 0.6;
/** The detector finds the core of a line. A box grows by this share of its area, divided by its outline. */
const GROWTH = 1.5;
const LEAST_HEIGHT = 3;

/**
 * The boxes of lines, from top to bottom, in pixels of the page: `[left, top, right, bottom]`. Lines must be level: the
 * boxes are.
 */
export function findBoxes(map, page) {
  const boxes = [];
  for (const { left, top, right, bottom } of regions(map)) {
    const [width, height] = [right - left, bottom - top];
    if (Math.min(width, height) < LEAST_HEIGHT || mean(map, left, top, right, bottom) < LINE) continue;
    const growth = (GROWTH * width * height) / (2 * (width + height));
    const [across, down] = [page.width / map.width, page.height / map.height];
    boxes.push([
      Math.max(0, Math.floor((left - growth) * across)),
      Math.max(0, Math.floor((top - growth) * down)),
      Math.min(page.width, Math.ceil((right + growth) * across)),
      Math.min(page.height, Math.ceil((bottom + growth) * down)),
    ]);
  }
  return boxes.sort((a, b) => a[1] - b[1] || a[0] - b[0]);
}

/** The rectangles around connected pixels of text. */
function* regions({ width, height, data }) {
  const seen = new Uint8Array(width * height);
  for (let start = 0; start < data.length; start++) {
    if (seen[start] || data[start] < TEXT) continue;
    const region = { left: width, top: height, right: 0, bottom: 0 };
    const open = [start];
    seen[start] = 1;
    while (open.length > 0) {
      const at = open.pop();
      const [x, y] = [at % width, Math.floor(at / width)];
      region.left = Math.min(region.left, x);
      region.top = Math.min(region.top, y);
      region.right = Math.max(region.right, x + 1);
      region.bottom = Math.max(region.bottom, y + 1);
      for (let down = Math.max(0, y - 1); down <= Math.min(height - 1, y + 1); down++) {
        for (let across = Math.max(0, x - 1); across <= Math.min(width - 1, x + 1); across++) {
          const next = down * width + across;
          if (seen[next] || data[next] < TEXT) continue;
          seen[next] = 1;
          open.push(next);
        }
      }
    }
    yield region;
  }
}

function mean({ width, data }, left, top, right, bottom) {
  let sum = 0;
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) sum += data[y * width + x];
  }
  return sum / ((right - left) * (bottom - top));
}
