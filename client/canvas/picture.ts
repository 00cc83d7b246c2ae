import type { ColorSpace } from './configuration.js';
import { encodePng } from './png.js';

/** What a canvas shows: pixels as ImageData has them, so that a GPU's queue copies it to a texture as it is. */
export class Picture {
  readonly width: number;
  readonly height: number;
  /** Red, green, blue and alpha, a byte each, not multiplied by alpha; rows from the top. */
  readonly data: Uint8ClampedArray<ArrayBuffer>;
  readonly colorSpace: ColorSpace;

  constructor(data: Uint8ClampedArray<ArrayBuffer>, width: number, height: number, colorSpace: ColorSpace) {
    this.data = data;
    this.width = width;
    this.height = height;
    this.colorSpace = colorSpace;
  }

  /** As a file. */
  toPNG(): Promise<Uint8Array> {
    return encodePng(this);
  }
}
