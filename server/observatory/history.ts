import { addTo, nothing } from './meter.js';
import type { Rates, SecondView } from './view.js';

/** How many seconds are kept. */
const KEPT_SECONDS = 300;

/** What happened in each of the last seconds. A second in which nothing did takes nothing. */
export class History {
  /** The oldest first. */
  readonly #seconds = new Map<number, SecondView>();

  /** `now` in milliseconds since 1970. */
  add(now: number, amounts: Rates): void {
    const second = Math.floor(now / 1000);
    let view = this.#seconds.get(second);
    if (!view) {
      view = { second, ...nothing() };
      this.#seconds.set(second, view);
    }
    addTo(view, amounts);
    for (const oldest of this.#seconds.keys()) {
      if (oldest > second - KEPT_SECONDS) break;
      this.#seconds.delete(oldest);
    }
  }

  /** From a second on. */
  from(second: number): SecondView[] {
    return [...this.#seconds.values()].filter((each) => each.second >= second);
  }
}
