// Photos for the examples: an image is `{ width, height, data }` with RGBA bytes, as jpeg-js and pngjs have it.
import { readFileSync, writeFileSync } from 'node:fs';
import jpeg from 'jpeg-js';
import { PNG } from 'pngjs';

export * from './pixels.mjs';

export function readImage(file) {
  return decodeImage(readFileSync(file));
}

/** An image from the bytes of a JPEG or PNG file. */
export function decodeImage(bytes) {
  const { width, height, data } =
    bytes[0] === 0xff
      ? jpeg.decode(bytes, { useTArray: true, maxMemoryUsageInMB: 1024 })
      : PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  return { width, height, data };
}

export function writePng(file, { width, height, data }) {
  const png = new PNG({ width, height });
  png.data.set(data);
  writeFileSync(file, PNG.sync.write(png));
}
