import { quantiles } from '../../infer/statistics/request-times.js';
import type { LagView } from './application-view.js';

/** The most times of records that wait. */
const MOST_TIMES = 4096;
/** The last outputs that are looked at. */
const MOST_SAMPLES = 500;

/** When records of a source were logged that have not begun, in their order. */
interface Logged {
  times: { offset: number; at: number }[];
  /** Only records whose offset it divides have a time. */
  stride: number;
}

/** When records were logged that have not begun. Millions may wait in a log: few of their times are kept. */
export class Lags {
  readonly #logged = new Map<string, Logged>();
  /** Records may be asked for behind this many later ones, at most. */
  readonly #late: number;

  constructor(late = 0) {
    this.#late = late;
  }

  logged(source: string, offset: number, at: number): void {
    let logged = this.#logged.get(source);
    if (!logged) {
      logged = { times: [], stride: 1 };
      this.#logged.set(source, logged);
    }
    if (offset % logged.stride === 0) logged.times.push({ offset, at });
    if (logged.times.length <= MOST_TIMES) return;
    const stride = 2 * logged.stride;
    logged.stride = stride;
    logged.times = logged.times.filter(({ offset }) => offset % stride === 0);
  }

  /** When this record was logged, or one shortly before it. Undefined where the process before has logged it. */
  begun(source: string, offset: number): number | undefined {
    const logged = this.#logged.get(source);
    if (!logged) return undefined;
    const { times } = logged;
    let at = -1;
    while ((times[at + 1]?.offset ?? Number.POSITIVE_INFINITY) <= offset) at += 1;
    const found = times[at]?.at;
    times.splice(0, at - this.#late);
    if (times.length <= 1 + this.#late) logged.stride = 1;
    return found;
  }
}

/** The times that the last outputs took from the log to their sink, in milliseconds. */
export class Samples {
  readonly #samples: number[] = [];
  /** Where the oldest sample is, when there are as many as there may be. */
  #next = 0;

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#next = (this.#next + 1) % MOST_SAMPLES;
  }

  view(): LagView {
    return { outputs: this.#samples.length, ...quantiles(this.#samples) };
  }
}
