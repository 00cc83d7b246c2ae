import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate } from '../../../link/machine/clock.js';

/** Released GPU memory that is worth a collection, in bytes. */
const WORTH_COLLECTING = 128 << 20;

/** What holds GPU memory. */
type Holder = GPUBuffer | GPUTexture;

/**
 * Has the garbage collected when enough GPU memory waits for it. A buffer or texture is freed when JavaScript's
 * collector takes its wrapper, but the collector knows only of the wrapper, some hundred bytes; a program
 * that drops its buffers and textures without destroying them would fill the GPU before it ran.
 */
export class GarbageMeter {
  readonly #collect: () => void;
  readonly #worth: number;
  readonly #destroyed = new WeakSet<Holder>();
  #waiting = 0;

  constructor(collect: () => void = later(collector()), worth: number = WORTH_COLLECTING) {
    this.#collect = collect;
    this.#worth = worth;
  }

  /** The program has destroyed it: its memory is free already. */
  destroyed(holder: Holder): void {
    this.#destroyed.add(holder);
  }

  /** The program does not refer to it any more. */
  released(holder: Holder): void {
    if (this.#destroyed.has(holder)) return;
    this.#waiting += bytesOf(holder);
    if (this.#waiting < this.#worth) return;
    this.collect();
  }

  /** Has what waits collected now. */
  collect(): void {
    this.#waiting = 0;
    this.#collect();
  }
}

/** What a texture takes is the driver's business: four bytes a texel are near enough to collect by. */
function bytesOf(holder: Holder): number {
  if ('size' in holder) return holder.size;
  const { width, height, depthOrArrayLayers, sampleCount } = holder;
  return width * height * depthOrArrayLayers * sampleCount * 4;
}

let gc: (() => void) | undefined;

/** V8's own collector, which is done when it returns. Asked for once: the context that has it takes 0.5 ms to make. */
export function collector(): () => void {
  setFlagsFromString('--expose-gc');
  gc ??= runInNewContext('gc') as () => void;
  return gc;
}

/** In a later turn: what was just released may still be on the stack. */
function later(collect: () => void): () => void {
  return () => setImmediate(collect);
}
