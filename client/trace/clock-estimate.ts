/** A question for the time, and its answer: when it was asked and answered here, and the host's time in between. */
export interface ClockSample {
  readonly asked: number;
  readonly answered: number;
  readonly host: number;
}

/**
 * By how much two clocks may drift apart, as a part of the time that passes: twice the 50 parts in a million to which
 * the crystals of computers are made.
 */
const DRIFT = 100e-6;

/**
 * What the host's clock shows, by the client's, from questions and answers (F. Cristian, "Probabilistic clock
 * synchronization", 1989). The host answered at some moment between the question and the answer, so half of the round
 * trip bounds the error, and the shortest round trip says most. A bound grows as time passes, because of the drift: so
 * a newer answer takes the place of an older one that was better once.
 *
 * All times in milliseconds.
 */
export class ClockEstimate {
  #best: { offset: number; error: number; at: number } | undefined;
  #worst = 0;
  #samples = 0;

  add({ asked, answered, host }: ClockSample): void {
    this.#samples += 1;
    const error = (answered - asked) / 2;
    if (this.#best && error > this.errorMs(answered)) return;
    this.#best = { offset: host - (asked + answered) / 2, error, at: answered };
  }

  get samples(): number {
    return this.#samples;
  }

  /** By how much `toClient` may be wrong at this time of the client's, in milliseconds. */
  errorMs(now: number): number {
    if (!this.#best) return Number.POSITIVE_INFINITY;
    return this.#best.error + Math.max(0, now - this.#best.at) * DRIFT;
  }

  /** The largest error that any time may have had that `toClient` gave, in milliseconds. */
  get worstErrorMs(): number {
    return this.#worst;
  }

  /** A time of the host's, by the client's clock, where it is `now`. Without a sample it is taken as it is. */
  toClient(host: number, now: number): number {
    if (!this.#best) return host;
    this.#worst = Math.max(this.#worst, this.errorMs(now));
    return host - this.#best.offset;
  }
}
