import { PNG } from 'pngjs';

/** A picture that a program wrote, to be asked about its colors. */
export class Picture {
  readonly #png: PNG;

  constructor(bytes: Buffer) {
    this.#png = PNG.sync.read(bytes);
  }

  get size(): [width: number, height: number] {
    return [this.#png.width, this.#png.height];
  }

  at(x: number, y: number): [red: number, green: number, blue: number, alpha: number] {
    const at = (y * this.#png.width + x) * 4;
    const [red = 0, green = 0, blue = 0, alpha = 0] = this.#png.data.subarray(at, at + 4);
    return [red, green, blue, alpha];
  }

  /** The reds of a part of a row. */
  reds({ y, from, to }: { y: number; from: number; to: number }): number[] {
    return Array.from({ length: to - from }, (_, i) => this.at(from + i, y)[0]);
  }

  /** How many pixels are others than in a picture of the same size. */
  differences(other: Picture): number {
    const [ours, theirs] = [this.#png.data, other.#png.data];
    let count = Math.abs(ours.length - theirs.length) / 4;
    for (let at = 0; at < ours.length; at += 4) {
      if (ours.compare(theirs, at, at + 4, at, at + 4) !== 0) count++;
    }
    return count;
  }
}

export function contrast(values: number[]): number {
  return Math.max(...values) - Math.min(...values);
}
