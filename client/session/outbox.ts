import type { Link } from '../transport/transport.js';
import type { Stats } from './stats.js';

/**
 * The flushes that wait to be sent, each as its frames. They wait until the link exists and takes bytes at full speed.
 * With `stopAndWait` they also wait until the host has acknowledged the flush before. A content that the host waits for
 * can overtake waiting flushes.
 */
export class Outbox {
  readonly #stats: Stats;
  readonly #stopAndWait: boolean;
  readonly #flushes: Uint8Array[][] = [];
  /** The rest of the flush that is being sent. No other frame may come between its frames. */
  #frames: Uint8Array[] = [];
  #link: Link | undefined;
  #unacknowledged = false;
  #full = false;

  constructor(stats: Stats, stopAndWait: boolean) {
    this.#stats = stats;
    this.#stopAndWait = stopAndWait;
  }

  /** The bytes that wait here. */
  get waitingBytes(): number {
    return [this.#frames, ...this.#flushes].reduce((sum, frames) => sum + bytesOf(frames), 0);
  }

  attach(link: Link): void {
    this.#link = link;
    this.#pump();
  }

  /** Adds a flush. Blocks the program if it records faster than the link sends, and the link can block it. */
  push(flush: Uint8Array[]): void {
    this.#flushes.push(flush);
    this.#pump();
    // Nothing else slows a program that never waits.
    if (!this.#stopAndWait) this.awaitRoom();
  }

  /** Sends frames before all waiting flushes. */
  pushFirst(flush: Uint8Array[]): void {
    this.#flushes.unshift(flush);
    this.#pump();
  }

  /** The host has executed the last flush. */
  acknowledged(): void {
    this.#unacknowledged = false;
    this.#pump();
  }

  /** The link takes bytes at full speed again. */
  drained(): void {
    this.#full = false;
    this.#pump();
  }

  /** Blocks this thread until the link takes bytes at full speed, if the link can block it. */
  awaitRoom(): void {
    const link = this.#link;
    while (link?.awaitRoom && this.#full) {
      link.awaitRoom();
      this.drained();
    }
  }

  /** Gives all frames to the link at once, because the link is about to close. */
  finish(): void {
    while (this.#full) this.drained();
  }

  clear(): void {
    this.#flushes.length = 0;
    this.#frames = [];
  }

  #pump(): void {
    while (this.#link && !this.#full) {
      const frame = this.#next();
      if (!frame) return;
      this.#stats.messagesSent += 1;
      this.#stats.bytesUp += frame.length;
      this.#full = !this.#link.send(frame);
    }
  }

  #next(): Uint8Array | undefined {
    if (this.#frames.length === 0) {
      if (this.#unacknowledged) return undefined;
      this.#frames = this.#flushes.shift() ?? [];
      this.#unacknowledged = this.#stopAndWait && this.#frames.length > 0;
    }
    return this.#frames.shift();
  }
}

function bytesOf(flush: Uint8Array[]): number {
  return flush.reduce((sum, { length }) => sum + length, 0);
}
