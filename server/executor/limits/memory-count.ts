import type { GpuMemory, MemoryRequest } from './gpu-memory.js';

/** What keeps account of a session's GPU memory. */
export type SessionMemory = Pick<
  GpuMemory,
  'used' | 'fits' | 'more' | 'granted' | 'spare' | 'hold' | 'destroyed' | 'released' | 'keepParts'
>;

/**
 * The GPU memory of a session without a limit, counted for whoever looks at the host: the bytes of the buffers and
 * textures that the program has made and neither destroyed nor dropped. It asks nothing of the garbage collector, so
 * what is still kept alive by another object, after the program has dropped it, does not count.
 */
export class MemoryCount implements SessionMemory {
  #used = 0;
  readonly #bytes = new WeakMap<object, number>();

  get used(): number {
    return this.#used;
  }

  fits(): boolean {
    return true;
  }

  async more(): Promise<void> {}

  granted(): void {}

  spare(): void {}

  hold<T extends object>({ bytes, make }: MemoryRequest<T>): T {
    const holder = make();
    this.#used += bytes;
    this.#bytes.set(holder, bytes);
    return holder;
  }

  destroyed(holder: object): void {
    const bytes = this.#bytes.get(holder);
    if (bytes === undefined) return;
    this.#bytes.delete(holder);
    this.#used -= bytes;
  }

  released(holder: object): void {
    this.destroyed(holder);
  }

  keepParts(): void {}
}
