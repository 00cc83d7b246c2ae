import type { Link } from '../transport/transport.js';
import type { Stats } from './ledger.js';

/**
 * What waits to be sent: batches, each as its frames. They wait until the link is there, and with
 * `stopAndWait` until the host has acknowledged the batch before.
 */
export class Outbox {
  readonly #stats: Stats;
  readonly #stopAndWait: boolean;
  readonly #batches: Uint8Array[][] = [];
  #link: Link | undefined;
  #unacknowledged = false;

  constructor(stats: Stats, stopAndWait: boolean) {
    this.#stats = stats;
    this.#stopAndWait = stopAndWait;
  }

  attach(link: Link): void {
    this.#link = link;
    this.#pump();
  }

  push(batch: Uint8Array[]): void {
    this.#batches.push(batch);
    this.#pump();
  }

  /** The host has carried out the batch that was sent last. */
  acknowledged(): void {
    this.#unacknowledged = false;
    this.#pump();
  }

  clear(): void {
    this.#batches.length = 0;
  }

  #pump(): void {
    while (this.#link && !this.#unacknowledged) {
      const batch = this.#batches.shift();
      if (!batch) return;
      for (const frame of batch) {
        this.#stats.messagesSent += 1;
        this.#stats.bytesUp += frame.length;
        this.#link.send(frame);
      }
      this.#unacknowledged = this.#stopAndWait;
    }
  }
}
