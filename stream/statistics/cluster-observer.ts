import type { Definition } from '../definition/definition.js';
import type { UpgradeEnd } from '../run/observer.js';
import type { CoordinatorObserver } from '../workers/coordinator/coordinator.js';
import type { Progress } from '../workers/coordinator/reports.js';
import type { Delivery } from '../workers/partition-outputs.js';
import { WINDOW } from '../workers/worker.js';
import { Lags } from './lags.js';
import type { Tally } from './tally.js';

/** Counts what becomes of the records of an application whose work is shared: the coordinator has both ends of their way. */
export class ClusterObserver implements CoordinatorObserver {
  readonly #tally: Tally;
  readonly #now: () => number;
  /** Outputs of other keys may come first, as many as there are records on their way in a partition. */
  readonly #lags = new Lags(WINDOW);

  /** @param now returns milliseconds of a steady clock. */
  constructor(tally: Tally, now: () => number) {
    this.#tally = tally;
    this.#now = now;
  }

  logged(source: string, partition: number, offset: number): void {
    this.#tally.logged(source);
    this.#lags.logged(`${source}/${partition}`, offset, this.#now());
  }

  delivered(partition: number, { sink, outputs }: Delivery, { sinks }: Definition): void {
    for (const { source, offset } of outputs) {
      const at = this.#lags.begun(`${source}/${partition}`, offset);
      const lag = at === undefined ? undefined : this.#now() - at;
      this.#tally.wrote(sink, 1, lag);
      if (lag !== undefined) this.#tally.partitionLags.set(partition, lag);
    }
    const definition = sinks[sink];
    if (definition?.kind === 'page') this.#tally.show(sink, outputs, definition.last);
  }

  progressed({ worker, passed, steps, runs }: Progress): void {
    for (const [partition, records] of passed)
      this.#tally.passed(records, `partition ${partition}`, `worker ${worker}`);
    for (const [uid, done] of steps) this.#tally.stepped(uid, done);
    for (const { uid, batch, runs: count } of runs)
      this.#tally.ran(uid, { batch, items: batch * count, runs: count });
  }

  upgraded(end: UpgradeEnd): void {
    this.#tally.upgraded(end);
  }
}
