import type { Clock } from '../../link/machine/timer.js';
import type { Lane, LaneMemory } from '../lanes/lane.js';
import type { Capacity } from '../schedule/types.js';
import type { HostMemory } from './host-memory.js';

/**
 * How long what others use must have been more until it counts, in milliseconds. The host hears of what a lane uses up to
 * a quarter of a second late, so a lane's own memory looks like that of others for a while.
 */
const SETTLED_MS = 1000;

/** Bytes that others seemed to use. */
interface Sample {
  readonly at: number;
  readonly bytes: number;
}

/**
 * The memory of a host as the sessions of its lanes are told it. The lanes may have what their tenant may have, less what
 * other sessions of that tenant use. Runs reserve what they take, so a figure that is late does no harm.
 */
export class LanesMemory implements HostMemory {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #lanes = new Set<LaneMemory>();
  readonly #listeners = new Set<() => void>();
  #limit = 0;
  #samples: Sample[] = [];
  #capacity: Capacity = { bytes: 0, limit: 0 };

  /** `most` bytes are for the lanes, whatever the host has. */
  constructor({ clock, most = Number.POSITIVE_INFINITY }: { clock: Clock; most?: number | undefined }) {
    this.#clock = clock;
    this.#most = most;
  }

  get capacity(): Capacity {
    return this.#capacity;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** @throws Error where neither the host nor its user knows how much memory there is */
  add({ memory, lost }: Lane): void {
    if (!memory) return;
    if (memory.state.limit === undefined && !Number.isFinite(this.#most)) {
      throw new Error(
        'The host does not know how much memory its GPU has: start it with --gpu-capacity, or state it here with --gpu-memory.',
      );
    }
    this.#lanes.add(memory);
    memory.onChange = () => this.#told(memory);
    this.#told(memory);
    void lost.then(() => {
      this.#lanes.delete(memory);
      memory.onChange = () => {};
    });
  }

  #told({ state }: LaneMemory): void {
    const { limit = this.#most, available = 0, used, reserved } = state;
    let own = 0;
    for (const each of this.#lanes) own += each.state.used + each.state.reserved;
    const all = state.limit === undefined ? own : limit - available;
    const at = this.#clock.now();
    this.#samples.push({ at, bytes: Math.max(0, all - Math.max(own, used + reserved)) });
    this.#limit = Math.min(limit, this.#most);
    this.#decide();
    this.#clock.after(SETTLED_MS, () => this.#decide());
  }

  /** Of what others seemed to use of late, the least counts. */
  #decide(): void {
    const since = this.#clock.now() - SETTLED_MS;
    this.#samples = this.#samples.filter(({ at }, index) => at > since || index === this.#samples.length - 1);
    const others = Math.min(...this.#samples.map(({ bytes }) => bytes));
    const { bytes, limit } = this.#capacity;
    const now = {
      bytes: Math.max(0, this.#limit - others),
      // Others may give back what they have taken.
      limit: Math.max(limit, this.#limit),
    };
    if (now.bytes === bytes && now.limit === limit) return;
    this.#capacity = now;
    for (const listener of this.#listeners) listener();
  }
}
