// Image functions of the examples, for Node and pages. An image is `{ width, height, data }` with RGBA bytes.

export function crop(image, { x, y, width, height }) {
  const data = new Uint8Array(width * height * 4);
  for (let row = 0; row < height; row++) {
    const start = ((y + row) * image.width + x) * 4;
    data.set(image.data.subarray(start, start + width * 4), row * width * 4);
  }
  return { width, height, data };
}

export function rotate180({ width, height, data }) {
  const pixels = new Uint32Array(data.slice().buffer);
  return { width, height, data: new Uint8Array(pixels.reverse().buffer) };
}

/** Resizes with a triangle filter that widens when shrinking, so that no source pixel is skipped. */
export function resize(image, width, height) {
  const across = filter(image.width, width);
  const down = filter(image.height, height);
  const rows = new Float32Array(width * image.height * 4);
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < width; x++) {
      mix(across[x], image.data, y * image.width * 4, 4, rows, (y * width + x) * 4);
    }
  }
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) mix(down[y], rows, x * 4, width * 4, data, (y * width + x) * 4);
  }
  return { width, height, data };
}

/** The source pixels and weights that make up each of `to` pixels, when `from` pixels are resized to them. */
function filter(from, to) {
  const scale = from / to;
  const radius = Math.max(scale, 1);
  return Array.from({ length: to }, (_, index) => {
    const centre = (index + 0.5) * scale - 0.5;
    const first = Math.max(Math.ceil(centre - radius), 0);
    const last = Math.min(Math.floor(centre + radius), from - 1);
    const weights = [];
    for (let at = first; at <= last; at++) weights.push(1 - Math.abs(at - centre) / radius);
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

function mix({ first, weights }, source, start, stride, target, to) {
  for (let channel = 0; channel < 4; channel++) {
    let sum = 0;
    for (let i = 0; i < weights.length; i++) {
      sum += weights[i] * source[start + (first + i) * stride + channel];
    }
    target[to + channel] = sum;
  }
}

/**
 * Fits an image into a black square, as detection models take it.
 * `toImage` maps a position in the square (0 to 1 each way) back to pixels of the image.
 */
export function letterbox(image, size) {
  const scale = size / Math.max(image.width, image.height);
  const fitted = resize(image, Math.round(image.width * scale), Math.round(image.height * scale));
  const left = (size - fitted.width) >> 1;
  const top = (size - fitted.height) >> 1;
  const data = new Uint8ClampedArray(size * size * 4);
  for (let row = 0; row < fitted.height; row++) {
    const line = fitted.data.subarray(row * fitted.width * 4, (row + 1) * fitted.width * 4);
    data.set(line, ((top + row) * size + left) * 4);
  }
  const toImage = (x, y) => ({ x: (x * size - left) / scale, y: (y * size - top) / scale });
  return { width: size, height: size, data, toImage };
}

/** Only the colors, pixel after pixel: red, green, blue. */
export function rgb({ width, height, data }) {
  const colours = new Uint8Array(width * height * 3);
  for (let pixel = 0; pixel < width * height; pixel++) {
    colours.set(data.subarray(pixel * 4, pixel * 4 + 3), pixel * 3);
  }
  return colours;
}
