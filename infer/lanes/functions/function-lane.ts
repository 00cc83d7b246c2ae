import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { messageOf } from '../../../proto/errors.js';
import type { Tensor } from '../../service/tensor.js';
import { fileVersion } from '../file-version.js';
import {
  type Lane,
  LaneLostError,
  type LaneModel,
  type LaneRun,
  type LoadReport,
  RunError,
  type RunReport,
} from '../lane.js';
import { LaneWorker } from '../lane-worker.js';
import { buffersOf, wholeInputs, wholeReport } from '../tensor-rows.js';
import type { FunctionAnswers, FunctionCall } from './function-lane-worker.js';

export interface FunctionLaneOptions {
  /** No two lanes have the same. */
  readonly name: string;
  /** How long a function may take, in milliseconds; 60,000 if left out. Then its signal aborts. */
  readonly limit?: number;
  /** How long it may take after that. Then its worker is ended. 1,000 ms if left out. */
  readonly grace?: number;
  /** Whether a module that has changed since it was loaded fails the runs for which it would have to be read again. */
  readonly holdsFiles?: boolean;
}

/** The results of some runs, in their order. */
export interface FunctionReports {
  /** Of each: its report, or why it failed. */
  readonly reports: readonly (RunReport | RunError)[];
  /** Milliseconds that the functions took, without the way to their thread and back. */
  readonly ms: number;
}

/**
 * A lane for functions of graphs, which runs them in a worker. A function that ends its worker, or is ended with it, has
 * failed. The lane goes on with another worker.
 */
export class FunctionLane implements Lane {
  readonly name: string;
  readonly #limit: number;
  readonly #grace: number;
  readonly #holdsFiles: boolean;
  readonly #models = new Map<string, LaneModel & { version: string }>();
  #worker: LaneWorker | undefined;
  /** The functions that the worker has. */
  #there = new Set<string>();
  #closed = false;
  #resolveLost!: (reason: string) => void;
  readonly lost = new Promise<string>((resolve) => {
    this.#resolveLost = resolve;
  });

  constructor({ name, limit = 60_000, grace = 1000, holdsFiles = false }: FunctionLaneOptions) {
    this.name = name;
    this.#limit = limit;
    this.#grace = grace;
    this.#holdsFiles = holdsFiles;
  }

  async load(model: LaneModel): Promise<LoadReport> {
    const start = monotonicNow();
    this.#there.delete(model.id);
    const version = versionOf(model);
    this.#models.set(model.id, { ...model, version });
    try {
      await this.#withWorker((worker) => this.#loadInto(worker, model.id));
    } catch (error) {
      this.#models.delete(model.id);
      throw error;
    }
    return { inputs: [], outputs: [], version, weights: 0, ms: monotonicNow() - start };
  }

  async unload(id: string): Promise<void> {
    this.#models.delete(id);
    if (this.#there.delete(id)) await this.#withWorker((worker) => worker.call('unload', id));
  }

  async run(run: LaneRun): Promise<RunReport> {
    const { reports } = await this.runAll([run]);
    const [report] = reports;
    if (report instanceof RunError) throw report;
    return report as RunReport;
  }

  /**
   * Runs some one after the other, with one message to the worker and one back: a message costs as much as a small function.
   * @throws RunError that says why none of them has a result, as where one ended the worker (rejects)
   */
  async runAll(runs: readonly LaneRun[]): Promise<FunctionReports> {
    const start = monotonicNow();
    const calls = runs.map((run) => this.#callOf(run));
    const memory = buffersOf(calls.flatMap(({ inputs }) => Object.values(inputs)));
    const { answers, ms } = await this.#withWorker(async (worker) => {
      for (const { id } of calls) await this.#loadAgain(worker, id);
      return worker.call<FunctionAnswers>('run', calls, memory);
    });
    const whole = monotonicNow() - start;
    const reports = answers.map((answer) =>
      typeof answer === 'string' ? new RunError(answer) : wholeReport(answer, whole),
    );
    return { reports, ms };
  }

  async fetch(): Promise<Tensor[]> {
    throw new RunError('A lane for functions keeps no values.');
  }

  drop(): void {}

  async close(): Promise<void> {
    this.#closed = true;
    this.#resolveLost(CLOSED);
    await this.#worker?.close(CLOSED);
  }

  #callOf({ model: id, inputs, keep, fetch }: LaneRun): FunctionCall {
    if (!this.#models.has(id)) throw new RunError(`Function "${id}" is not loaded on this lane.`);
    if (keep.length > 0) throw new RunError(`"${keep[0]}" cannot stay on a lane for functions.`);
    const joined = wholeInputs(inputs).map((tensor) => [tensor.name, tensor] as const);
    return { id, inputs: Object.fromEntries(joined), outputs: fetch };
  }

  /** Loads a function into a worker that does not have it. @throws RunError `away` where it cannot be loaded any more */
  async #loadAgain(worker: LaneWorker, id: string): Promise<void> {
    if (this.#there.has(id)) return;
    const model = this.#models.get(id);
    try {
      if (model && this.#holdsFiles) versionOf(model);
      await this.#loadInto(worker, id);
    } catch (error) {
      if (error instanceof LaneLostError || (error instanceof RunError && error.away)) throw error;
      throw new RunError(messageOf(error), { away: true, cause: error });
    }
  }

  async #loadInto(worker: LaneWorker, id: string): Promise<void> {
    await worker.call('load', this.#models.get(id));
    if (worker === this.#worker) this.#there.add(id);
  }

  /** Does something with the worker, within a limit of time. Settles even where the worker never answers. */
  async #withWorker<T>(act: (worker: LaneWorker) => Promise<T>): Promise<T> {
    if (this.#closed) throw new LaneLostError(CLOSED);
    const worker = this.#worker ?? this.#start();
    const seconds = this.#limit / 1000;
    const abort = setTimeout(() => worker.abort(`It takes longer than ${seconds} s.`), this.#limit);
    const end = setTimeout(() => worker.end(`It took longer than ${seconds} s.`), this.#limit + this.#grace);
    try {
      return await act(worker);
    } catch (error) {
      if (!(error instanceof LaneLostError) || this.#closed) throw error;
      throw new RunError(`It failed: ${error.message}`);
    } finally {
      clearTimeout(abort);
      clearTimeout(end);
    }
  }

  #start(): LaneWorker {
    const worker = new LaneWorker(
      'infer/lanes/functions/function-lane-worker.js',
      `lane ${this.name}`,
      undefined,
    );
    this.#worker = worker;
    this.#there = new Set();
    void worker.ended.then(() => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    return worker;
  }
}

/** @throws RunError `away` where there is no such file, or where it has changed */
function versionOf({ file, version }: LaneModel): string {
  try {
    return fileVersion(file, version);
  } catch (error) {
    if (error instanceof RunError) throw error;
    throw new RunError(`${file} cannot be read: ${messageOf(error)}.`, { away: true, cause: error });
  }
}

const CLOSED = 'The lane was closed.';
