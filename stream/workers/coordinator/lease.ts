import type { Clock } from '../../../link/machine/timer.js';
import { type Broker, FencedError } from '../../broker/broker.js';
import { Cell } from '../../broker/cell.js';
import { COORDINATOR, type CoordinatorRecord } from '../records.js';

/** How often the lease is renewed, in milliseconds. */
const RENEW_MS = 1000;
/** How long a coordinator writes to sinks after it renewed its lease last, in milliseconds. */
const HELD_MS = 5000;
/** How long the lease must not have been renewed before another coordinator takes it, in milliseconds. */
const LAPSED_MS = 10_000;
const LOOK_MS = 500;

export interface LeaseOptions {
  readonly broker: Broker;
  readonly id: string;
  /** A place that one process at a time has: whoever was there before has ended. */
  readonly place: string;
  readonly clock: Clock;
  /** Another coordinator lives: this one waits until it ends. */
  onWait(): void;
  isOver(): boolean;
}

/** The right to coordinate an application. One process has it at a time. */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #cell: Cell<CoordinatorRecord>;
  readonly term: number;
  #beat = 0;
  #renewed: number;
  #waiting: (() => void)[] = [];
  #reject!: (error: unknown) => void;
  /** Rejects when another coordinator has taken over. */
  readonly lost = new Promise<never>((_, reject) => {
    this.#reject = reject;
  });

  /** Waits until no other coordinator lives. @throws Error where `isOver` says so (rejects) */
  static async take(options: LeaseOptions): Promise<Lease> {
    const { broker, id, place, clock, onWait, isOver } = options;
    const cell = new Cell<CoordinatorRecord>(broker, COORDINATOR, isOver);
    let seen = await cell.read();
    let since = clock.now();
    let isWaiting = false;
    for (;;) {
      const isFree = !seen || seen.beat < 0 || seen.place === place || clock.now() - since >= LAPSED_MS;
      if (isFree) {
        const start = clock.now();
        const before = seen;
        const record = await cell.change((value) => {
          const isSame = value?.term === before?.term && value?.beat === before?.beat;
          return isSame ? { term: (value?.term ?? 0) + 1, id, place, beat: 0 } : undefined;
        });
        if (record.id === id) return new Lease(options, cell, record.term, start);
      }
      if (!isWaiting) onWait();
      isWaiting = true;
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
      if (isOver()) throw new Error('the coordinator was closed');
      const now = await cell.read();
      if (now?.term !== seen?.term || now?.beat !== seen?.beat) since = clock.now();
      seen = now;
    }
  }

  private constructor(options: LeaseOptions, cell: Cell<CoordinatorRecord>, term: number, renewed: number) {
    this.#options = options;
    this.#cell = cell;
    this.term = term;
    this.#renewed = renewed;
    // The coordinator waits for this as soon as it is made.
    this.lost.catch(() => {});
    options.clock.after(RENEW_MS, () => void this.#renew());
  }

  /** Resolves at once while the lease is held, or when it is renewed. */
  async held(): Promise<void> {
    const { clock, isOver } = this.#options;
    while (clock.now() - this.#renewed >= HELD_MS && !isOver())
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Lets another coordinator begin at once. It never rejects. */
  async release(): Promise<void> {
    const cell = new Cell<CoordinatorRecord>(this.#options.broker, COORDINATOR, () => true);
    // Where it fails, the next coordinator waits until the lease has lapsed.
    await cell
      .change((record) =>
        record?.term === this.term && record.beat >= 0 ? { ...record, beat: -1 } : undefined,
      )
      .catch(() => {});
    this.#wake();
  }

  async #renew(): Promise<void> {
    const { clock, isOver } = this.#options;
    if (isOver()) return this.#wake();
    const start = clock.now();
    this.#beat += 1;
    const beat = this.#beat;
    try {
      const record = await this.#cell.change((value) =>
        value?.term === this.term && value.beat < beat ? { ...value, beat } : undefined,
      );
      if (record?.term !== this.term) throw new FencedError('another coordinator has taken over');
      this.#renewed = start;
      this.#wake();
      clock.after(RENEW_MS, () => void this.#renew());
    } catch (error) {
      this.#wake();
      if (!isOver()) this.#reject(error);
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
