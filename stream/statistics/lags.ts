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

/** How long outputs take from the log to their sink. Millions of records may wait in a log: few of their times are kept. */
export class Lags {
  readonly #logged = new Map<string, Logged>();
  readonly #samples: number[] = [];
  /** Where the oldest sample is, when there are as many as there may be. */
  #next = 0;

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
    while ((times[1]?.offset ?? Number.POSITIVE_INFINITY) <= offset) times.shift();
    if (times.length <= 1) logged.stride = 1;
    const [first] = times;
    return first && first.offset <= offset ? first.at : undefined;
  }

  add(ms: number): void {
    this.#samples[this.#next] = ms;
    this.#next = (this.#next + 1) % MOST_SAMPLES;
  }

  view(): LagView {
    return { outputs: this.#samples.length, ...quantiles(this.#samples) };
  }
}
