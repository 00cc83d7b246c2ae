import { Histogram } from '../../page/figures.js';
import type { Change, UpgradePlan } from '../definition/upgrade-plan.js';
import type { UpgradeEnd } from '../run/observer.js';
import { plainValues } from '../sinks/output-text.js';
import { identityOf, type Output } from '../sinks/sink.js';
import type { EndedUpgradeView, LagView, OutputView } from './application-view.js';
import { History, RecentSums, type SecondView } from './history.js';
import { Samples } from './lags.js';

/** The upgrades that are shown. */
const MOST_UPGRADES = 20;
/** The most characters of an output on the page. */
const LONGEST_TEXT = 300;
const LAG_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** The figures of a step in the last seconds: see `NodeView`. */
export interface RecentStep {
  readonly ms: number;
  readonly items: number;
  readonly largest: number;
}

/** Counts what becomes of the records of an application, whoever tells of it. */
export class Tally {
  readonly #time: () => number;
  readonly #history = new History();
  readonly #sums = new RecentSums();
  readonly #samples = new Samples();
  readonly #upgrades: EndedUpgradeView[] = [];
  /** By sink to the page, its last outputs, the newest first. */
  readonly #outputs = new Map<string, OutputView[]>();
  /** By uid of a step that is a model, how many runs had so many items. */
  readonly runs = new Map<string, Map<number, number>>();
  readonly outcomes = { committed: 0, abandoned: 0 };
  /** By sink, in seconds. */
  readonly lags = new Map<string, Histogram>();
  /** By partition, of an application whose work is shared, the milliseconds of its last output. */
  readonly partitionLags = new Map<number, number>();

  /** @param time returns milliseconds since 1970. */
  constructor(time: () => number) {
    this.#time = time;
  }

  logged(source: string): void {
    this.#sums.add(this.#time(), `source ${source}`, 1);
  }

  /** Records have passed through all steps and sinks. `by` names workers or partitions that have rates of their own. */
  passed(records: number, ...by: readonly string[]): void {
    const now = this.#time();
    this.#history.add(now, { passed: records });
    for (const name of by) this.#sums.add(now, name, records);
  }

  /** A step has computed records in so many milliseconds in all, and failed at others. */
  stepped(uid: string, { records, ms, failed }: Record<'records' | 'ms' | 'failed', number>): void {
    const now = this.#time();
    this.#sums.add(now, `step ${uid}`, records);
    this.#sums.add(now, `ms step ${uid}`, ms);
    if (failed === 0) return;
    this.#sums.add(now, 'failed', failed);
    this.#history.add(now, { failed });
  }

  /** Runs of a step that is a model had so many items each. `items` of them are told of now. */
  ran(uid: string, { batch, items, runs }: Record<'batch' | 'items' | 'runs', number>): void {
    const now = this.#time();
    this.#history.add(now, { items, largest: batch, runs });
    this.#sums.add(now, `items step ${uid}`, items);
    this.#sums.add(now, `runs step ${uid}`, runs);
    this.#sums.most(now, `batch step ${uid}`, batch);
    if (runs === 0) return;
    const counts = this.runs.get(uid) ?? new Map<number, number>();
    this.runs.set(uid, counts);
    counts.set(batch, (counts.get(batch) ?? 0) + runs);
  }

  /** A sink has outputs, so many milliseconds after their record was logged, where that is known. */
  wrote(sink: string, outputs: number, lag: number | undefined): void {
    const now = this.#time();
    this.#history.add(now, { outputs, ...(lag !== undefined && { lag }) });
    this.#sums.add(now, `sink ${sink}`, outputs);
    if (lag === undefined) return;
    this.#samples.add(lag);
    let histogram = this.lags.get(sink);
    if (!histogram) {
      histogram = new Histogram(LAG_SECONDS);
      this.lags.set(sink, histogram);
    }
    histogram.add(lag / 1000, outputs);
  }

  /** A sink to the page has outputs, and shows its last ones. */
  show(sink: string, outputs: readonly Output[], last: number): void {
    const at = this.#time();
    const views = outputs.slice(-last).map((output): OutputView => {
      const text = JSON.stringify(plainValues(output));
      return {
        sink,
        id: identityOf(output),
        at,
        key: output.key,
        text: text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text,
      };
    });
    this.#outputs.set(sink, [...views.reverse(), ...(this.#outputs.get(sink) ?? [])].slice(0, last));
  }

  upgraded({ from, to, plan, ms, epoch, why }: UpgradeEnd): void {
    this.#upgrades.unshift({
      at: this.#time(),
      ms,
      from,
      to,
      changes: changesOf(plan),
      ...(epoch !== undefined && { epoch }),
      ...(why !== undefined && { why }),
    });
    this.#upgrades.splice(MOST_UPGRADES);
    this.outcomes[why === undefined ? 'committed' : 'abandoned'] += 1;
  }

  looked(counts: { waiting: number; passing: number }): void {
    this.#history.looked(this.#time(), counts);
  }

  /** Per second, of a node by its id, or of another name: the mean of the last whole seconds. */
  rate(name: string): number {
    return this.#sums.rate(this.#time(), name);
  }

  step(uid: string): RecentStep {
    const [rate, runs] = [this.rate(`step ${uid}`), this.rate(`runs step ${uid}`)];
    return {
      ms: rate > 0 ? this.rate(`ms step ${uid}`) / rate : 0,
      items: runs > 0 ? this.rate(`items step ${uid}`) / runs : 0,
      largest: this.#sums.largest(this.#time(), `batch step ${uid}`),
    };
  }

  get lag(): LagView {
    return this.#samples.view();
  }

  get upgrades(): readonly EndedUpgradeView[] {
    return this.#upgrades;
  }

  outputs(sink: string): readonly OutputView[] {
    return this.#outputs.get(sink) ?? [];
  }

  /** The seconds from this one on. */
  seconds(second: number): SecondView[] {
    return this.#history.from(second);
  }
}

const SIGNS = { changed: '~', added: '+', removed: '-' } as const;

function changesOf({ sources, steps, sinks }: UpgradePlan): string[] {
  const words = (changes: readonly Change[]) =>
    changes.flatMap(({ name, change }) => (change === 'kept' ? [] : [`${SIGNS[change]} ${name}`]));
  return [...words(sources), ...words(steps), ...words(sinks)];
}
