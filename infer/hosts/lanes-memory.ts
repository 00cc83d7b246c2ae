import type { Clock } from '../../link/machine/timer.js';
import { FarlightError } from '../../proto/errors.js';
import type { HostMemory, ToldMemory } from '../engine/host-memory.js';
import type { Lane, LaneMemory } from '../lanes/lane.js';
import type { Capacity } from '../schedule/types.js';

/**
 * How long others must have used more memory before that counts, in milliseconds. The host hears of a lane's memory up to
 * a quarter of a second late. Until then, that memory seems to be the others'.
 */
const SETTLED_MS = 1000;

export interface LanesMemoryOptions {
  /** The host's name, for messages. */
  readonly name: string;
  readonly clock: Clock;
  /** The tenant's limit, as the host told it before there were lanes; undefined where the host does not know it. */
  readonly limit: number | undefined;
  /** The most bytes for the lanes, whatever the host has. */
  readonly most?: number | undefined;
}

/** Bytes that others seemed to use. */
interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/**
 * The memory of a host, as it reports it to the sessions of its lanes. The lanes may have their tenant's memory, except
 * for the part that other sessions of that tenant use. Runs reserve their memory, so a late figure does no harm. While no
 * lane is open, the last report counts.
 */
export class LanesMemory implements HostMemory {
  readonly #name: string;
  readonly #clock: Clock;
  readonly #most: number;
  readonly #lanes = new Set<LaneMemory>();
  readonly #listeners = new Set<() => void>();
  /** Bytes that are set aside, each for one model over several hosts. */
  readonly #aside = new Set<{ readonly bytes: number }>();
  /** The tenant's limit. Infinity where the host does not know it: then `most` is the limit. */
  #limit: number;
  #samples: Sample[] = [];
  /** The bytes that others use, by the samples. */
  #others = 0;
  #capacity: Capacity;

  /** @throws FarlightError BAD_OPTION where neither the host nor its user knows how much memory there is */
  constructor({ name, clock, limit, most = Number.POSITIVE_INFINITY }: LanesMemoryOptions) {
    this.#name = name;
    this.#clock = clock;
    this.#most = most;
    this.#requireKnown(limit);
    this.#limit = limit ?? Number.POSITIVE_INFINITY;
    const bytes = Math.min(this.#limit, most);
    this.#capacity = { bytes, limit: bytes };
  }

  get capacity(): Capacity {
    return this.#capacity;
  }

  get told(): ToldMemory {
    const told = { used: 0, reserved: 0, others: this.#others, queue: 0 };
    for (const { state } of this.#lanes) {
      told.used += state.used;
      told.reserved += state.reserved;
      // Each lane hears of the whole tenant's queue.
      told.queue = Math.max(told.queue, state.queue);
    }
    return told;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whether a lane is open there. */
  get isOpen(): boolean {
    return this.#lanes.size > 0;
  }

  /**
   * Leaves so many bytes to a model over several hosts, so that they are free when it is loaded again. For the lanes the
   * model's sessions are sessions of others. The returned function ends that.
   */
  setAside(bytes: number): () => void {
    const aside = { bytes };
    this.#aside.add(aside);
    this.#decide();
    return () => {
      if (this.#aside.delete(aside)) this.#decide();
    };
  }

  /** @throws FarlightError BAD_OPTION where neither the host nor its user knows how much memory there is now */
  add({ memory, lost }: Lane): void {
    if (!memory) return;
    this.#requireKnown(memory.state.limit);
    this.#lanes.add(memory);
    memory.onChange = () => this.#told(memory);
    this.#told(memory);
    void lost.then(() => {
      this.#lanes.delete(memory);
      memory.onChange = () => {};
    });
  }

  #requireKnown(limit: number | undefined): void {
    if (limit !== undefined || Number.isFinite(this.#most)) return;
    throw new FarlightError(
      'BAD_OPTION',
      `${this.#name} cannot tell how much memory its GPU has; say here how much to use with --gpu-memory SIZE, or start that host with --gpu-capacity SIZE`,
    );
  }

  #told({ state }: LaneMemory): void {
    const { limit = Number.POSITIVE_INFINITY, available = 0, used, reserved } = state;
    let own = 0;
    for (const each of this.#lanes) own += each.state.used + each.state.reserved;
    const all = state.limit === undefined ? own : limit - available;
    const at = this.#clock.now();
    this.#samples.push({ at, bytes: Math.max(0, all - Math.max(own, used + reserved)) });
    this.#limit = limit;
    this.#decide();
    this.#clock.after(SETTLED_MS, () => this.#decide());
  }

  /** Others count with the least that they seemed to use of late. */
  #decide(): void {
    const since = this.#clock.now() - SETTLED_MS;
    this.#samples = this.#samples.filter(({ at }, index) => at > since || index === this.#samples.length - 1);
    if (this.#samples.length > 0) this.#others = Math.min(...this.#samples.map(({ bytes }) => bytes));
    const { bytes, limit } = this.#capacity;
    let aside = 0;
    for (const { bytes } of this.#aside) aside += bytes;
    const now = {
      bytes: Math.max(0, Math.min(this.#limit - Math.max(this.#others, aside), this.#most - aside)),
      // Others may give back their memory.
      limit: Math.max(limit, Math.min(this.#limit, this.#most)),
    };
    if (now.bytes === bytes && now.limit === limit) return;
    this.#capacity = now;
    for (const listener of this.#listeners) listener();
  }
}
