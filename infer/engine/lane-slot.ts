import type { Clock } from '../../link/machine/timer.js';
import { messageOf } from '../../proto/errors.js';
import { type Lane, LaneLostError } from '../lanes/lane.js';

/** The pause before a lost lane is opened again, in milliseconds. It doubles with each loss in a row. */
const FIRST_DELAY = 100;
const LONGEST_DELAY = 10_000;
/** A lane that was open for so long was well: its loss is the first in a row. */
const WELL_AFTER = 10_000;

/** A lane that is open: its calls follow each other, and all end when it is lost. */
export class OpenLane {
  readonly name: string;
  /** The shapes and sizes that have run here: the first run of one compiles. */
  readonly ran: Set<string> = new Set();
  readonly #lane: Lane;
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #silent: (reason: string) => void;
  #last: Promise<unknown> = Promise.resolve();
  /** The call that is under way. */
  #call: { readonly since: number; readonly reject: (error: Error) => void } | undefined;
  #isWatched = false;
  #lostBy: string | undefined;

  /** `silent` is called where a call takes longer than `limit`. */
  constructor(
    lane: Lane,
    { clock, limit, silent }: { clock: Clock; limit: number; silent: (reason: string) => void },
  ) {
    this.name = lane.name;
    this.#lane = lane;
    this.#clock = clock;
    this.#limit = limit;
    this.#silent = silent;
  }

  /**
   * Calls the lane, once the calls before have ended.
   * @throws LaneLostError, and what the call throws
   */
  call<T>(act: (lane: Lane) => Promise<T> | T): Promise<T> {
    const call = this.#last.then(() => this.#callNow(act));
    // The caller gets the error; the next call only waits.
    this.#last = call.catch(() => {});
    return call;
  }

  lose(reason: string): void {
    this.#lostBy ??= reason;
    this.#call?.reject(new LaneLostError(reason));
  }

  #callNow<T>(act: (lane: Lane) => Promise<T> | T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#lostBy !== undefined) throw new LaneLostError(this.#lostBy);
      this.#call = { since: this.#clock.now(), reject };
      if (!this.#isWatched) this.#watch(this.#limit);
      Promise.resolve(act(this.#lane)).then(resolve, reject);
    }).finally(() => {
      this.#call = undefined;
    });
  }

  #watch(ms: number): void {
    this.#isWatched = true;
    this.#clock.after(ms, () => {
      this.#isWatched = false;
      if (!this.#call || this.#lostBy !== undefined) return;
      const left = this.#call.since + this.#limit - this.#clock.now();
      if (left > 0) this.#watch(left);
      else this.#silent(`Lane ${this.name} did not answer within ${this.#limit / 1000} s.`);
    });
  }
}

export interface SlotOptions {
  readonly clock: Clock;
  /** How long opening a lane, and one call of it, may take, in milliseconds. */
  readonly limit: number;
  open(name: string): Promise<Lane>;
  opened(lane: OpenLane): void;
  lost(lane: OpenLane, reason: string): void;
  failed(reason: string): void;
}

/** The place of a lane. When its lane is lost, it opens another one. */
export class LaneSlot {
  readonly name: string;
  readonly #options: SlotOptions;
  #lane: Lane | undefined;
  #open: OpenLane | undefined;
  #problem: string | undefined;
  /** Losses, and failures to open, in a row. */
  #failures = 0;
  #isClosed = false;

  constructor(name: string, options: SlotOptions) {
    this.name = name;
    this.#options = options;
    void this.#openLane();
  }

  /** Why it has no lane; undefined where it has one, or where its first one is being opened. */
  get problem(): string | undefined {
    return this.#open ? undefined : this.#problem;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const lane = this.#lane;
    this.#lane = undefined;
    this.#open?.lose(`Lane ${this.name} was closed.`);
    // Nobody uses the lane any more, so nobody needs an error of its end.
    await lane?.close().catch(() => {});
  }

  async #openLane(): Promise<void> {
    const { clock, limit, open, opened, failed } = this.#options;
    try {
      const lane = await within(
        clock,
        limit,
        () => open(this.name),
        (late) => late.close(),
      );
      if (this.#isClosed) {
        await lane.close();
        return;
      }
      this.#lane = lane;
      this.#open = new OpenLane(lane, { clock, limit, silent: (reason) => this.#lose(lane, reason) });
      const openedAt = clock.now();
      void lane.lost.then((reason) => {
        if (clock.now() - openedAt > WELL_AFTER) this.#failures = 0;
        this.#lose(lane, reason);
      });
      opened(this.#open);
    } catch (error) {
      if (this.#isClosed) return;
      this.#problem = messageOf(error);
      failed(this.#problem);
      this.#openAgain();
    }
  }

  #lose(lane: Lane, reason: string): void {
    const open = this.#open;
    if (lane !== this.#lane || !open) return;
    this.#lane = undefined;
    this.#open = undefined;
    this.#problem = reason;
    // The reason of the loss is told below; an error of the lane's end adds nothing.
    void lane.close().catch(() => {});
    // The scheduler hears of the loss before the owner of the call that is under way.
    this.#options.lost(open, reason);
    open.lose(reason);
    this.#openAgain();
  }

  #openAgain(): void {
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures += 1;
    this.#options.clock.after(delay, () => {
      if (!this.#isClosed) void this.#openLane();
    });
  }
}

/** Does something within a time limit. `discard` gets a late result. */
function within<T>(
  clock: Clock,
  ms: number,
  act: () => Promise<T>,
  discard: (late: T) => Promise<void>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    let isLate = false;
    clock.after(ms, () => {
      isLate = true;
      reject(new Error(`It did not open within ${ms / 1000} s.`));
    });
    act().then((result) => {
      // The promise has rejected already. Nobody needs an error of the late lane's end.
      if (isLate) discard(result).catch(() => {});
      else resolve(result);
    }, reject);
  });
}
