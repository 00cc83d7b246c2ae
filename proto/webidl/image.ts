import { describe, enforceRange, isObject, toEnum } from './converters.js';
import { isTypedArray } from './slots.js';

/** Four bytes a pixel (red, green, blue, alpha, not premultiplied), rows from the top, tightly packed. */
export interface ImagePixels {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly colorSpace: ImageColorSpace;
}

const COLOR_SPACES = ['srgb', 'srgb-linear', 'display-p3', 'display-p3-linear'] as const;
export type ImageColorSpace = (typeof COLOR_SPACES)[number];

/**
 * An image as it exists outside a page: an ImageData of whichever library, or any object of that shape.
 * https://html.spec.whatwg.org/multipage/imagebitmap-and-animations.html#imagedata
 */
export function toImage(value: unknown, where: string): ImagePixels {
  if (!isObject(value)) throw new TypeError(`${where}: ${describe(value)} is not an image`);
  const image = value as Record<keyof ImagePixels, unknown>;
  const { data } = image;
  if (!isTypedArray(data, 'Uint8ClampedArray') && !isTypedArray(data, 'Uint8Array')) {
    throw new TypeError(
      `${where}: ${describe(value)} is no image that exists outside a page: its data are no Uint8ClampedArray`,
    );
  }
  const pixels = (name: 'width' | 'height') =>
    enforceRange(image[name], 0, 2 ** 32 - 1, 'unsigned long', `${where}.${name}`);
  const [width, height] = [pixels('width'), pixels('height')];
  if (data.length !== width * height * 4) {
    throw new TypeError(`${where}: ${data.length} bytes are not ${width} x ${height} pixels of 4 bytes`);
  }
  const given = image.colorSpace ?? 'srgb';
  const colorSpace = toEnum(given, COLOR_SPACES, 'PredefinedColorSpace', `${where}.colorSpace`);
  return { data, width, height, colorSpace };
}
