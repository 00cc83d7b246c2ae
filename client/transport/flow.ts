import { HIGH_WATER_BYTES, LOW_WATER_BYTES } from '../../proto/wire/limits.js';

const UNDER_WAY = 0;
const CLOSED = 1;
const WAITING = 2;
const BEATS = 3;
const LENGTH = 4;

/** How long a thread that waits bears it that nothing happens before it asks the other one to beat, in milliseconds. */
const ASK_MS = 1000;
/** The other thread is dead that has not beaten for so many questions. */
const MOST_UNANSWERED = 10;

/**
 * What the two threads of a link know together at any time: how many bytes were sent that the host has not taken,
 * whether the sender waits for there to be fewer, and whether the link is gone.
 */
export class Flow {
  /** What the other thread makes its own of. */
  readonly shared: SharedArrayBuffer;
  readonly #state: Int32Array;
  readonly #askMs: number;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(4 * LENGTH), askMs: number = ASK_MS) {
    this.shared = shared;
    this.#state = new Int32Array(shared);
    this.#askMs = askMs;
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

  /** The thread that has the link lives. */
  beat(): void {
    Atomics.add(this.#state, BEATS, 1);
  }

  get closed(): boolean {
    return Atomics.load(this.#state, CLOSED) === 1;
  }

  /**
   * Blocks this thread until few bytes are under way, or the link is gone. Returns false where the thread that has the
   * link no longer lives, which closes it: a thread that ends closes its links, but not one that the system ends.
   *
   * @param ask has the other thread call `beat`.
   */
  awaitRoom(ask: () => void): boolean {
    let beats = Atomics.load(this.#state, BEATS);
    for (let unanswered = 0; unanswered <= MOST_UNANSWERED; ) {
      const underWay = Atomics.load(this.#state, UNDER_WAY);
      if (underWay < LOW_WATER_BYTES || this.closed) return true;
      const isSame = Atomics.wait(this.#state, UNDER_WAY, underWay, this.#askMs) === 'timed-out';
      const now = Atomics.load(this.#state, BEATS);
      unanswered = isSame && now === beats ? unanswered + 1 : 0;
      beats = now;
      if (isSame) ask();
    }
    this.close();
    return false;
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
