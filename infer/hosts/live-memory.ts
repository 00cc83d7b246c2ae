import { type CreateOptions, close, create, gpuMemory, type MemoryState } from '../../client/index.js';
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';
import { FarlightError } from '../../proto/errors.js';
import type { HostMemory } from '../engine/host-memory.js';
import type { Capacity } from '../schedule/types.js';

/** How long to wait after the host was lost, before asking it again, in milliseconds. */
const AGAIN_MS = 1000;

/**
 * The GPU memory of a host, as the host tells it: sessions of others change it. A session of its own listens. While the
 * host is lost, the last that it has told holds.
 */
export class LiveMemory implements HostMemory {
  /** Which GPU it is. */
  adapter = '';
  readonly #gpu: GPU;
  readonly #most: number;
  readonly #listeners = new Set<() => void>();
  #capacity: Capacity = { bytes: 0, limit: 0 };
  #isClosed = false;
  #again: ReturnType<typeof setTimeout> | undefined;

  /**
   * Resolves when the host has told its memory.
   *
   * @param most bytes beyond which its memory is not used; undefined: all that it tells.
   * @throws FarlightError (rejects) where the host cannot be reached; BAD_OPTION where neither it nor `most` says how much
   * memory there is.
   */
  static async open(name: string, where: CreateOptions, most: number | undefined): Promise<LiveMemory> {
    const memory = new LiveMemory(where, most);
    try {
      const adapter = await memory.#gpu.requestAdapter();
      if (!adapter) throw new FarlightError('NO_ADAPTER', `${name} has no GPU that it can open`);
      const { vendor, architecture, device, description } = adapter.info;
      memory.adapter = [vendor, architecture, device, description].join(' ').trim();
      const state = await gpuMemory(memory.#gpu).read();
      if (state.limit === undefined && most === undefined) {
        throw new FarlightError(
          'BAD_OPTION',
          `${name} cannot tell how much memory its GPU has; say how much to use with --gpu-memory SIZE`,
        );
      }
      memory.#told(state);
      void memory.#listen();
      return memory;
    } catch (error) {
      memory.close();
      throw error;
    }
  }

  private constructor(where: CreateOptions, most: number | undefined) {
    this.#gpu = create(where);
    this.#most = most ?? Number.POSITIVE_INFINITY;
  }

  get capacity(): Capacity {
    return this.#capacity;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#again);
    this.#listeners.clear();
    close(this.#gpu);
  }

  async #listen(): Promise<void> {
    try {
      for await (const state of gpuMemory(this.#gpu)) {
        if (this.#isClosed) return;
        this.#told(state);
      }
    } catch {
      // The session has ended, with its host or without. Lanes say of themselves that they are lost.
    }
    if (!this.#isClosed) this.#again = setTimeout(() => void this.#listen(), AGAIN_MS).unref();
  }

  #told({ limit = Number.POSITIVE_INFINITY }: MemoryState): void {
    const bytes = Math.min(limit, this.#most);
    // Others may have some of it now, and give it back.
    const most = Math.max(bytes, this.#capacity.limit);
    if (bytes === this.#capacity.bytes && most === this.#capacity.limit) return;
    this.#capacity = { bytes, limit: most };
    for (const listener of this.#listeners) listener();
  }
}
