import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate } from '../../../link/machine/clock.js';

/** How much released GPU memory is worth a collection, in bytes. */
const WORTH_COLLECTING = 128 << 20;

/** Owns GPU memory. */
type Owner = GPUBuffer | GPUTexture;

/**
 * Collects the garbage when that frees enough GPU memory. A buffer or texture is freed when JavaScript's collector takes
 * its wrapper. The collector knows only the wrapper, some hundred bytes. So without this, a program that drops buffers
 * and textures without destroying them would fill the GPU before the collector runs.
 */
export class GarbageMeter {
  readonly #collect: () => void;
  readonly #worth: number;
  readonly #destroyed = new WeakSet<Owner>();
  #waiting = 0;

  constructor(collect: () => void = later(collector()), worth: number = WORTH_COLLECTING) {
    this.#collect = collect;
    this.#worth = worth;
  }

  /** The program has destroyed it: its memory is free already. */
  destroyed(owner: Owner): void {
    this.#destroyed.add(owner);
  }

  /** The program has released its handle. */
  released(owner: Owner): void {
    if (this.#destroyed.has(owner)) return;
    this.#waiting += bytesOf(owner);
    if (this.#waiting < this.#worth) return;
    this.collect();
  }

  /** Collects the garbage now. */
  collect(): void {
    this.#waiting = 0;
    this.#collect();
  }
}

/** How much a texture takes is the driver's business. Four bytes a texel are near enough here. */
function bytesOf(owner: Owner): number {
  if ('size' in owner) return owner.size;
  const { width, height, depthOrArrayLayers, sampleCount } = owner;
  return width * height * depthOrArrayLayers * sampleCount * 4;
}

let gc: (() => void) | undefined;

/** V8's own collector. It has collected when it returns. Got once, because a context that has it takes 0.5 ms to make. */
export function collector(): () => void {
  setFlagsFromString('--expose-gc');
  gc ??= runInNewContext('gc') as () => void;
  return gc;
}

/** Collects in a later turn of the event loop: an object that was just released may still be on the stack. */
function later(collect: () => void): () => void {
  return () => setImmediate(collect);
}
