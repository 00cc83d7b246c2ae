/** The formats of a canvas. https://gpuweb.github.io/gpuweb/#supported-context-formats */
export const CANVAS_FORMATS = ['bgra8unorm', 'rgba8unorm', 'rgba16float'] as const;
export type CanvasFormat = (typeof CANVAS_FORMATS)[number];

/** A drawn frame, copied out of its texture. */
export interface FramePixels {
  readonly format: CanvasFormat;
  readonly alphaMode: 'opaque' | 'premultiplied';
  readonly width: number;
  readonly height: number;
  /** Rows from the top; each begins this many bytes after the one before. */
  readonly data: Uint8Array;
  readonly bytesPerRow: number;
}

/** The number of bytes of a texel. */
export function texelBytes(format: CanvasFormat): number {
  return format === 'rgba16float' ? 8 : 4;
}

/** The pixels as in ImageData: red, green, blue and alpha, one byte each, not multiplied by alpha. */
export function imageBytes(frame: FramePixels): Uint8ClampedArray<ArrayBuffer> {
  const { format, alphaMode, width, height, bytesPerRow } = frame;
  const bytes = new Uint8ClampedArray(4 * width * height);
  const read = format === 'rgba16float' ? readHalves : format === 'bgra8unorm' ? readSwapped : readPlain;
  for (let row = 0; row < height; row += 1) {
    read(frame.data, row * bytesPerRow, bytes.subarray(4 * width * row, 4 * width * (row + 1)));
  }
  if (alphaMode === 'opaque') for (let at = 3; at < bytes.length; at += 4) bytes[at] = 255;
  else divideByAlpha(bytes);
  return bytes;
}

function readPlain(from: Uint8Array, start: number, to: Uint8ClampedArray): void {
  to.set(from.subarray(start, start + to.length));
}

function readSwapped(from: Uint8Array, start: number, to: Uint8ClampedArray): void {
  for (let at = 0; at < to.length; at += 4) {
    to[at] = from[start + at + 2] as number;
    to[at + 1] = from[start + at + 1] as number;
    to[at + 2] = from[start + at] as number;
    to[at + 3] = from[start + at + 3] as number;
  }
}

function readHalves(from: Uint8Array, start: number, to: Uint8ClampedArray): void {
  const view = new DataView(from.buffer, from.byteOffset + start, 2 * to.length);
  // A clamped array rounds, and limits values to 0 to 255.
  for (let at = 0; at < to.length; at += 1) to[at] = 255 * halfToNumber(view.getUint16(2 * at, true));
}

function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function divideByAlpha(bytes: Uint8ClampedArray): void {
  for (let at = 0; at < bytes.length; at += 4) {
    const alpha = bytes[at + 3] as number;
    if (alpha === 255 || alpha === 0) continue;
    for (let channel = 0; channel < 3; channel += 1) {
      bytes[at + channel] = ((bytes[at + channel] as number) * 255) / alpha;
    }
  }
}
