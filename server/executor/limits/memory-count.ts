import type { GpuMemory, MemoryRequest } from './gpu-memory.js';

/** Keeps account of a session's GPU memory. */
export type SessionMemory = Pick<
  GpuMemory,
  'used' | 'fits' | 'more' | 'granted' | 'giveBack' | 'allocate' | 'destroyed' | 'released' | 'keepParts'
>;

/**
 * Counts the GPU memory of a session without a limit, for the host's page and metrics: the bytes of the buffers and
 * textures that the program has made, and neither destroyed nor released. It asks nothing of the garbage collector, so
 * a released buffer does not count, even where another object keeps it alive.
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

  giveBack(): void {}

  allocate<T extends object>({ bytes, make }: MemoryRequest<T>): T {
    const owner = make();
    this.#used += bytes;
    this.#bytes.set(owner, bytes);
    return owner;
  }

  destroyed(owner: object): void {
    const bytes = this.#bytes.get(owner);
    if (bytes === undefined) return;
    this.#bytes.delete(owner);
    this.#used -= bytes;
  }

  released(owner: object): void {
    this.destroyed(owner);
  }

  keepParts(): void {}
}
