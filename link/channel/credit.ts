import { LIMITS } from '../../proto/wire/limits.js';

/** Index of the bytes under way. */
const UNDER_WAY = 0;
/** Index of the flag: the sender is paused. */
const PAUSED = 1;

/** A sender pauses when the peer has not acknowledged this many bytes. */
export const CREDIT_BYTES: number = LIMITS.windowBytes;
/**
 * A paused sender resumes at this share of the limit. A line of 1 Gbit/s at 100 ms carries 12 MiB in one round trip.
 * With a share of one half, that line ran empty, and carried 0.81 of its rate (test/link/credit.test.ts). With a share of
 * one, each acknowledgement would wake the sender.
 */
const RESUME_SHARE = 3 / 4;

/**
 * All of Farlight's back-pressure: how many bytes of frames were sent, and not acknowledged by the peer.
 *
 * A sender reports the length of each frame, and pauses when it is told to. An acknowledgement means that the peer has
 * executed the frames; it gives their bytes back, and may resume the sender. Queues between sender and peer are bounded
 * by this, and count no bytes themselves. A carrier only says whether it takes another packet now.
 *
 * A client has one credit for its commands, and an executor one for its replies. A channel has another for its window:
 * the bytes that it gave to its connection. The numbers may lie in memory of two threads: one sends, and the other
 * receives the acknowledgements.
 */
export class Credit {
  limit: number;
  readonly #state: Int32Array;

  constructor(limit: number = CREDIT_BYTES, state: Int32Array = new Int32Array(Credit.LENGTH)) {
    this.limit = limit;
    this.#state = state;
  }

  /** How many numbers it needs in memory. */
  static readonly LENGTH = 2;

  /** The bytes that were sent and not acknowledged. */
  get underWay(): number {
    return Atomics.load(this.#state, UNDER_WAY);
  }

  /** Whether a paused sender may resume. */
  get hasRoom(): boolean {
    return this.underWay <= this.limit * RESUME_SHARE;
  }

  /** Whether this many more bytes are within the limit. If nothing is under way they always are, so no frame waits for ever. */
  allows(bytes: number): boolean {
    const { underWay } = this;
    return underWay === 0 || underWay + bytes <= this.limit;
  }

  /**
   * Counts sent bytes. Returns false if the sender must pause until `taken` or `resumes` returns true. Another thread may
   * have taken everything just before, so the sender calls `resumes` once itself.
   */
  sent(bytes: number): boolean {
    if (Atomics.add(this.#state, UNDER_WAY, bytes) + bytes < this.limit) return true;
    Atomics.store(this.#state, PAUSED, 1);
    return false;
  }

  /** The peer has acknowledged this many bytes. Returns true if the sender is paused and must be resumed. */
  taken(bytes: number): boolean {
    Atomics.sub(this.#state, UNDER_WAY, bytes);
    return this.resumes();
  }

  /** Whether a paused sender resumes now. Returns true once for each pause. */
  resumes(): boolean {
    return this.hasRoom && Atomics.compareExchange(this.#state, PAUSED, 1, 0) === 1;
  }

  /** Nothing is under way now. */
  reset(): void {
    Atomics.store(this.#state, UNDER_WAY, 0);
  }
}
