import { HIGH_WATER_BYTES, LOW_WATER_BYTES } from '../../proto/wire/limits.js';

const UNDER_WAY = 0;
const CLOSED = 1;
const WAITING = 2;
const LENGTH = 3;

/**
 * What the two threads of a link know together at any time: how many bytes were sent that the host has not taken,
 * whether the sender waits for there to be fewer, and whether the link is gone.
 */
export class Flow {
  /** What the other thread makes its own of. */
  readonly shared: SharedArrayBuffer;
  readonly #state: Int32Array;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(4 * LENGTH)) {
    this.shared = shared;
    this.#state = new Int32Array(shared);
  }

  /**
   * The sender has sent so many bytes. Returns false where it should wait until `taken` says to go on, or `goesOn`,
   * which the sender asks at once: all that was under way may have been taken just before, and nothing more says so.
   */
  sent(bytes: number): boolean {
    if (Atomics.add(this.#state, UNDER_WAY, bytes) + bytes < HIGH_WATER_BYTES) return true;
    Atomics.store(this.#state, WAITING, 1);
    return false;
  }

  /** The bytes that were sent and not taken. */
  get underWay(): number {
    return Atomics.load(this.#state, UNDER_WAY);
  }

  /** The host has taken so many bytes. Returns true where the sender is to be told to go on. */
  taken(bytes: number): boolean {
    Atomics.sub(this.#state, UNDER_WAY, bytes);
    Atomics.notify(this.#state, UNDER_WAY);
    return this.goesOn();
  }

  /** The link is gone: nobody waits for it any more. */
  close(): void {
    Atomics.store(this.#state, CLOSED, 1);
    Atomics.store(this.#state, UNDER_WAY, 0);
    Atomics.notify(this.#state, UNDER_WAY);
    Atomics.notify(this.#state, CLOSED);
  }

  /** Blocks this thread until few bytes are under way, or the link is gone. */
  awaitRoom(): void {
    for (;;) {
      const underWay = Atomics.load(this.#state, UNDER_WAY);
      if (underWay < LOW_WATER_BYTES || Atomics.load(this.#state, CLOSED)) return;
      Atomics.wait(this.#state, UNDER_WAY, underWay);
    }
  }

  /** Blocks this thread until the link is gone, for so many milliseconds at most. Returns whether it is. */
  awaitClosed(timeoutMs: number): boolean {
    return Atomics.wait(this.#state, CLOSED, 0, timeoutMs) !== 'timed-out';
  }

  /** Whether there is room again for a sender that waits; said once, to one of the threads. */
  goesOn(): boolean {
    if (Atomics.load(this.#state, UNDER_WAY) >= LOW_WATER_BYTES) return false;
    return Atomics.compareExchange(this.#state, WAITING, 1, 0) === 1;
  }
}
