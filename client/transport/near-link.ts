import { clearInterval, setImmediate, setInterval } from '../../link/machine/clock.js';
import { Vigil } from '../../link/near/vigil.js';
import { spareFrame } from '../../proto/wire/memory.js';
import { forgetGoodbye, goodbyeAtExit, type Leaving } from './goodbye.js';
import type { Link, LinkEvents } from './transport.js';

/** A link whose connection this thread has, and which does not keep the process alive. */
export interface TurnedLink extends Pick<Link, 'send' | 'close'> {
  /** The bytes that were sent and that the host has not taken. */
  readonly underWay: number;
  /** Whether a sender that waits may go on. */
  readonly hasRoom: boolean;
  /**
   * Writes what waits and hands on what has come, as the event loop would. Returns whether anything came; undefined
   * where only the event loop can go on.
   */
  turn(): boolean | undefined;
}

/** How long to wait before it is looked again whether something came, in milliseconds. */
const LOOK_MS = 0.1;
/** Longer than any process lives, in milliseconds. */
const EVER_MS = 2 ** 31 - 1;

/**
 * A link to a host on this machine, in the program's own thread: each message costs the two processes one call of the
 * system each, and no thread is woken between. The program may compute for as long as it likes: what is on its way to
 * it waits in the system's memory, and a host that is this near does not ask whether it is still there.
 */
export class NearLink implements Link, Leaving {
  readonly #events: LinkEvents;
  readonly #inner: TurnedLink;
  /** Keeps the process alive while it is referenced. */
  readonly #hold: NodeJS.Timeout;
  /** What came while the program was within a call of its own, which expects no answers there. */
  readonly #late: (() => void)[] = [];
  readonly #vigil = new Vigil();
  #awaited = false;
  #turning = false;
  #closed = false;

  constructor(open: (events: LinkEvents) => TurnedLink, events: LinkEvents) {
    this.#events = events;
    this.#inner = open({
      onWelcome: (welcome) => this.#tell(() => events.onWelcome(welcome)),
      onFrame: (frame) => this.#receive(frame),
      onDrain: () => this.#tell(() => events.onDrain()),
      // They were made in this thread.
      onTaken: (_bytes, frames) => frames.forEach(spareFrame),
      onClose: (reason) => {
        this.#closed = true;
        this.#tell(() => this.#finish(() => events.onClose(reason)));
      },
    });
    // Behind what may throw, so that nothing is left of a link that could not be opened.
    this.#hold = setInterval(() => {}, EVER_MS).unref();
    goodbyeAtExit(this);
  }

  get underWay(): number {
    return this.#inner.underWay;
  }

  send(frame: Uint8Array): boolean {
    if (this.#closed) return true;
    const more = this.#inner.send(frame);
    if (this.#awaited) this.#vigil.asked();
    return more;
  }

  awaitRoom(): void {
    while (!this.#closed && !this.#inner.hasRoom && this.#turn()) {}
  }

  close(): void {
    if (!this.#closed) this.#inner.close();
  }

  ref(): void {
    this.#awaited = true;
    this.#hold.ref();
  }

  unref(): void {
    this.#awaited = false;
    this.#hold.unref();
  }

  leave(): boolean {
    return this.#closed || !this.#turn();
  }

  /** Does what the event loop would, or waits for there to be something. Returns false where only that can go on. */
  #turn(): boolean {
    this.#turning = true;
    try {
      const came = this.#inner.turn();
      if (came === false) Atomics.wait(NEVER, 0, 0, LOOK_MS);
      return came !== undefined;
    } finally {
      this.#turning = false;
    }
  }

  #receive(frame: Uint8Array): boolean {
    this.#vigil.answered();
    // Who is done with it at once says so, and its memory may serve again.
    if (!this.#isLate) return this.#events.onFrame(frame) === true;
    this.#tell(() => {
      if (this.#events.onFrame(frame)) spareFrame(frame);
    });
    return false;
  }

  /** In order, and not within a call of the program's. */
  #tell(event: () => void): void {
    if (!this.#isLate) {
      event();
      return;
    }
    if (this.#late.push(event) === 1) setImmediate(() => this.#catchUp());
  }

  get #isLate(): boolean {
    return this.#turning || this.#late.length > 0;
  }

  #catchUp(): void {
    try {
      while (this.#late[0]) {
        this.#late[0]();
        // Behind it: what it leads to is not told before those that wait.
        this.#late.shift();
      }
    } catch (error) {
      // The events that wait are told all the same.
      this.#late.shift();
      if (this.#late.length > 0) setImmediate(() => this.#catchUp());
      throw error;
    }
  }

  #finish(tell: () => void): void {
    forgetGoodbye(this);
    clearInterval(this.#hold);
    tell();
  }
}

/** Nobody changes it: who waits for that waits for the time to be over. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));
