import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Released GPU memory that is worth a collection, in bytes. */
const WORTH_COLLECTING = 128 << 20;

/**
 * Has the garbage collected when enough GPU memory waits for it. A GPU buffer is freed when JavaScript's
 * collector takes its wrapper, but the collector knows only of the wrapper, some hundred bytes; a program
 * that drops its buffers without destroying them would fill the GPU before it ran.
 */
export class GarbageMeter {
  readonly #collect: () => void;
  readonly #worth: number;
  readonly #destroyed = new WeakSet<GPUBuffer>();
  #waiting = 0;

  constructor(collect: () => void = collector(), worth: number = WORTH_COLLECTING) {
    this.#collect = collect;
    this.#worth = worth;
  }

  /** The program has destroyed the buffer: its memory is free already. */
  destroyed(buffer: GPUBuffer): void {
    this.#destroyed.add(buffer);
  }

  /** The program does not refer to the buffer any more. */
  released(buffer: GPUBuffer): void {
    if (this.#destroyed.has(buffer)) return;
    this.#waiting += buffer.size;
    if (this.#waiting < this.#worth) return;
    this.#waiting = 0;
    this.#collect();
  }
}

/** V8's own collector, in a later turn: what was just released may still be on the stack. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  return () => setImmediate(collect);
}
