import { wallClock } from '../../../link/machine/clock.js';
import type { RunReport } from '../../lanes/lane.js';
import type { Duration, ModelStatistics } from '../../service/service.js';

class Sum implements Duration {
  count = 0;
  ns = 0;

  add(ms: number, count = 1): void {
    this.count += count;
    this.ns += Math.max(0, Math.round(ms * 1e6)) * count;
  }
}

class Computed {
  readonly computeInput = new Sum();
  readonly computeInfer = new Sum();
  readonly computeOutput = new Sum();

  add({ inputMs, inferMs, outputMs }: RunReport, count: number): void {
    this.computeInput.add(inputMs, count);
    this.computeInfer.add(inferMs, count);
    this.computeOutput.add(outputMs, count);
  }
}

/** Counts the requests and runs of a model or a graph since the start. */
export class Statistics {
  #lastInference = 0;
  #inferences = 0;
  #executions = 0;
  readonly #success = new Sum();
  readonly #fail = new Sum();
  readonly #queue = new Sum();
  readonly #all = new Computed();
  readonly #batches = new Map<number, Computed>();

  /** A run of a batch, with items of so many requests. */
  ran(batch: number, requests: number, report: RunReport): void {
    this.#lastInference = wallClock();
    this.#inferences += batch;
    this.#executions += 1;
    this.#all.add(report, requests);
    const computed = this.#batches.get(batch) ?? new Computed();
    this.#batches.set(batch, computed);
    computed.add(report, 1);
  }

  /** A request's items began to run, so long after they were ready. */
  queued(ms: number): void {
    this.#queue.add(ms);
  }

  /** A request ended, so long after it came. */
  ended(ms: number, well: boolean): void {
    (well ? this.#success : this.#fail).add(ms);
  }

  /** A request of a graph ended well: the graph counts as run once for it. */
  answered(): void {
    this.#lastInference = wallClock();
    this.#inferences += 1;
    this.#executions += 1;
  }

  report(name: string, version: string): ModelStatistics {
    return {
      name,
      version,
      lastInference: this.#lastInference,
      inferenceCount: this.#inferences,
      executionCount: this.#executions,
      success: copy(this.#success),
      fail: copy(this.#fail),
      queue: copy(this.#queue),
      ...computedOf(this.#all),
      batches: [...this.#batches]
        .sort(([a], [b]) => a - b)
        .map(([batchSize, computed]) => ({ batchSize, ...computedOf(computed) })),
    };
  }
}

function computedOf({ computeInput, computeInfer, computeOutput }: Computed) {
  return {
    computeInput: copy(computeInput),
    computeInfer: copy(computeInfer),
    computeOutput: copy(computeOutput),
  };
}

function copy({ count, ns }: Duration): Duration {
  return { count, ns };
}
