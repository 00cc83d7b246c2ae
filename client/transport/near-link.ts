import { clearInterval, setImmediate, setInterval } from '../../link/machine/clock.js';
import { Vigil } from '../../link/near/vigil.js';
import { spareFrame } from '../../proto/wire/memory.js';
import { forgetGoodbye, goodbyeAtExit, type Leaving } from './goodbye.js';
import type { Link, LinkEvents } from './transport.js';

/** A link with its connection in this thread. It does not keep the process alive. */
export interface TurnedLink extends Pick<Link, 'send' | 'close'> {
  /** The bytes that were sent and that the host has not acknowledged. */
  readonly underWay: number;
  /** Whether a paused sender may resume. */
  readonly hasRoom: boolean;
  /**
   * Sends waiting packets and delivers arrived ones, in place of the event loop. Returns whether anything arrived, and
   * undefined if only the event loop can make progress.
   */
  turn(): boolean | undefined;
}

/** The pause between two looks for arrived packets, in milliseconds. */
const LOOK_MS = 0.1;
/** Longer than any process lives, in milliseconds. */
const EVER_MS = 2 ** 31 - 1;

/**
 * A link to a host on this machine, with its connection in the program's own thread. Each packet costs one system call in
 * each process, and wakes no other thread. The program may compute for any time: arriving packets wait in the system's
 * memory, and a host on this machine does not require signs of life.
 */
export class NearLink implements Link, Leaving {
  readonly #events: LinkEvents;
  readonly #inner: TurnedLink;
  /** Keeps the process alive while it is referenced. */
  readonly #hold: NodeJS.Timeout;
  /** Events that arrived during a call of the program, which must not get events there. */
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
      // This thread made the frames.
      onTaken: (_bytes, frames) => frames.forEach(spareFrame),
      onClose: (reason) => {
        this.#closed = true;
        this.#tell(() => this.#finish(() => events.onClose(reason)));
      },
    });
    // Last, since `open` may throw: a link that could not be opened must leave nothing behind.
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

  /** Works in place of the event loop, or waits a moment. Returns false if only the event loop can make progress. */
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
    // Delivered at once: the receiver tells whether the frame's memory may be used again.
    if (!this.#isLate) return this.#events.onFrame(frame) === true;
    this.#tell(() => {
      if (this.#events.onFrame(frame)) spareFrame(frame);
    });
    return false;
  }

  /** Delivers an event in order, and never during a call of the program. */
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
        // Only after the call: the events that it causes must not overtake the waiting ones.
        this.#late.shift();
      }
    } catch (error) {
      // The waiting events are still delivered.
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

/** It never changes, so a wait for a change is a pause. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));
