import { EXTERNAL_IMAGE_FORMATS, type ExternalImageFormat } from '../../../proto/external-image.js';
import type { ImageColorSpace, ImagePixels } from '../../../proto/webidl/image.js';
import { colorConversion } from './color-spaces.js';
import { type Color, ENCODINGS } from './texel-encoding.js';

/** The part of an image to copy. It begins at the top left corner, flipped or not. */
export interface ImagePart {
  image: ImagePixels;
  x: number;
  y: number;
  width: number;
  height: number;
  flipY: boolean;
}

/** The form that the texture's texels are to have. */
export interface ImageTarget {
  format: string;
  colorSpace: ImageColorSpace;
  premultipliedAlpha: boolean;
}

/** Rows of texels without space between them. */
export interface EncodedImage {
  data: Uint8Array;
  bytesPerRow: number;
}

/**
 * Encodes a part of an image in a texture's format: converts it to the color space, then multiplies it by
 * alpha if asked to. Undefined if WebGPU copies no images to that format.
 * https://gpuweb.github.io/gpuweb/#dom-gpuqueue-copyexternalimagetotexture
 */
export function encodeImage(part: ImagePart, target: ImageTarget): EncodedImage | undefined {
  if (!isImageFormat(target.format)) return undefined;
  const { image, width, height } = part;
  const encoding = ENCODINGS[target.format];
  const convert = colorConversion(image.colorSpace, target.colorSpace);
  const bytesPerRow = width * encoding.bytes;
  const data = new Uint8Array(bytesPerRow * height);
  const verbatim = target.format.startsWith('rgba8') && !convert && !target.premultipliedAlpha;
  const view = new DataView(data.buffer);
  for (let row = 0; row < height; row++) {
    const from = ((part.y + (part.flipY ? height - 1 - row : row)) * image.width + part.x) * 4;
    if (verbatim) {
      data.set(image.data.subarray(from, from + bytesPerRow), row * bytesPerRow);
      continue;
    }
    for (let column = 0; column < width; column++) {
      let color = colorAt(image, from + column * 4);
      if (convert) color = convert(color);
      if (target.premultipliedAlpha) color = premultiply(color);
      encoding.write(view, row * bytesPerRow + column * encoding.bytes, color);
    }
  }
  return { data, bytesPerRow };
}

function isImageFormat(format: string): format is ExternalImageFormat {
  return (EXTERNAL_IMAGE_FORMATS as readonly string[]).includes(format);
}

function colorAt({ data }: ImagePixels, at: number): Color {
  const component = (index: number) => (data[at + index] as number) / 255;
  return [component(0), component(1), component(2), component(3)];
}

function premultiply([r, g, b, a]: Color): Color {
  return [r * a, g * a, b * a, a];
}
