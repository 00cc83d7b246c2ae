import type { Link } from '../../transport/transport.js';

/** Keeps the process alive for as long as somebody awaits the host. */
export class ProcessHold {
  #holds = 0;
  #link: Link | undefined;
  /** What the link was told last. */
  #referenced = false;
  #letGo = false;

  get holds(): number {
    return this.#holds;
  }

  /** From now on this link is what keeps it alive. */
  attach(link: Link): void {
    this.#link = link;
    this.apply();
  }

  hold(): void {
    this.#holds += 1;
    this.#letGo = false;
    this.apply();
  }

  /** The process may end although somebody awaits the host, until somebody more does. */
  letGo(): void {
    this.#letGo = true;
    this.apply();
  }

  /** Ends a hold; the process may end after `apply`. */
  release(): void {
    this.#holds -= 1;
  }

  /** Tells the link what the holds come to. */
  apply(): void {
    const referenced = this.#holds > 0 && !this.#letGo;
    if (!this.#link || referenced === this.#referenced) return;
    this.#referenced = referenced;
    if (referenced) this.#link.ref();
    else this.#link.unref();
  }
}
