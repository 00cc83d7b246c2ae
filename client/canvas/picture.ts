import { promisify } from 'node:util';
import { crc32, deflate } from 'node:zlib';
import type { ColorSpace } from './configuration.js';

/**
 * The content of a canvas: pixels as in ImageData, so that a GPU's queue can copy it to a texture directly.
 */
export class Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue and alpha, one byte each, not multiplied by alpha; rows from the top. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly colorSpace: ColorSpace;

  constructor(data: Uint8ClampedArray<ArrayBuffer>, width: number, height: number, colorSpace: ColorSpace) {
    this.data = data;
    this.width = width;
    this.height = height;
    this.colorSpace = colorSpace;
  }

  /** As a PNG file. */
  toPNG(): Promise<Uint8Array> {
    return encodePng(this);
  }
}

/** Red, green, blue and alpha, one byte each, not multiplied by alpha; rows from the top, without gaps. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly colorSpace: ColorSpace;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
/** 8 bits each of red, green, blue and alpha. */
const RGBA = [8, 6, 0, 0, 0];
/** Perceptual intent. */
const SRGB = chunk('sRGB', Uint8Array.of(0));
/**
 * The primaries of display-p3 and the transfer function of sRGB, as numbered in ITU-T H.273; RGB, full range.
 */
const DISPLAY_P3 = chunk('cICP', Uint8Array.of(12, 13, 0, 1));
/** The filter that stores each byte as its difference from the byte above. */
const UP = 2;

const compress = promisify(deflate);

/** A PNG (https://www.w3.org/TR/png-3/) of these pixels. */
export async function encodePng({ width, height, data, colorSpace }: Pixels): Promise<Uint8Array> {
  if (width === 0 || height === 0)
    throw new RangeError(`a PNG needs at least one pixel; this picture is ${width} x ${height}`);
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set(RGBA, 8);
  const stride = 4 * width;
  const rows = new Uint8Array((stride + 1) * height);
  for (let row = 0; row < height; row += 1) {
    const to = row * (stride + 1);
    rows[to] = UP;
    for (let at = row * stride; at < (row + 1) * stride; at += 1) {
      const above = row > 0 ? (data[at - stride] as number) : 0;
      rows[to + 1 + at - row * stride] = (data[at] as number) - above;
    }
  }
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    colorSpace === 'srgb' ? SRGB : DISPLAY_P3,
    chunk('IDAT', await compress(rows)),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let at = 0; at < 4; at += 1) bytes[4 + at] = type.charCodeAt(at);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}
