import type { Link } from '../../transport/transport.js';

/** Keeps the process alive while a reply is awaited. */
export class ProcessHold {
  #holds = 0;
  #link: Link | undefined;
  /** Whether the link keeps the process alive. */
  #referenced = false;
  #letGo = false;

  get holds(): number {
    return this.#holds;
  }

  /** From now on this link keeps the process alive. */
  attach(link: Link): void {
    this.#link = link;
    this.apply();
  }

  hold(): void {
    this.#holds += 1;
    this.#letGo = false;
    this.apply();
  }

  /** The process may end although replies are awaited, until the next `hold`. */
  letGo(): void {
    this.#letGo = true;
    this.apply();
  }

  /** Ends a hold; the process may end after `apply`. */
  release(): void {
    this.#holds -= 1;
  }

  /** Tells the link whether to keep the process alive. */
  apply(): void {
    const referenced = this.#holds > 0 && !this.#letGo;
    if (!this.#link || referenced === this.#referenced) return;
    this.#referenced = referenced;
    if (referenced) this.#link.ref();
    else this.#link.unref();
  }
}
