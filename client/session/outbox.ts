import type { Link } from '../transport/transport.js';
import type { Stats } from './ledger.js';

/**
 * What waits to be sent: batches, each as its frames. They wait until the link is there and takes them at
 * full speed, and with `stopAndWait` until the host has acknowledged the batch before. So what the host
 * waits for can still overtake what waits here.
 */
export class Outbox {
  readonly #stats: Stats;
  readonly #stopAndWait: boolean;
  readonly #batches: Uint8Array[][] = [];
  /** What is left of the batch that is being sent: nothing may come between its frames. */
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
    return [this.#frames, ...this.#batches].reduce((sum, frames) => sum + bytesOf(frames), 0);
  }

  attach(link: Link): void {
    this.#link = link;
    this.#pump();
  }

  /** Blocks the program where it records faster than the link takes it, if the link can. */
  push(batch: Uint8Array[]): void {
    this.#batches.push(batch);
    this.#pump();
    // Nothing else slows a program that never waits.
    if (!this.#stopAndWait) this.awaitRoom();
  }

  /** Sends a batch before all those that wait. */
  pushFirst(batch: Uint8Array[]): void {
    this.#batches.unshift(batch);
    this.#pump();
  }

  /** The host has carried out the batch that was sent last. */
  acknowledged(): void {
    this.#unacknowledged = false;
    this.#pump();
  }

  /** The link takes bytes at full speed again. */
  drained(): void {
    this.#full = false;
    this.#pump();
  }

  /** Has this thread wait until the link takes bytes at full speed, where the link is one that can do that. */
  awaitRoom(): void {
    const link = this.#link;
    while (link?.awaitRoom && this.#full) {
      link.awaitRoom();
      this.drained();
    }
  }

  /** Gives the link all that may be sent, whatever its speed: it is about to be closed. */
  finish(): void {
    while (this.#full) this.drained();
  }

  clear(): void {
    this.#batches.length = 0;
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
      this.#frames = this.#batches.shift() ?? [];
      this.#unacknowledged = this.#stopAndWait && this.#frames.length > 0;
    }
    return this.#frames.shift();
  }
}

function bytesOf(batch: Uint8Array[]): number {
  return batch.reduce((sum, { length }) => sum + length, 0);
}
