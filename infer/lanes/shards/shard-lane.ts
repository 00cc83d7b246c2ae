import { monotonicNow } from '../../../link/machine/clock.js';
import { deferred } from '../../../link/machine/deferred.js';
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
  type ShardSettings,
} from '../lane.js';
import { LaneWorker } from '../lane-worker.js';
import { buffersOf, wholeInputs, wholeReport } from '../tensor-rows.js';

/** Hosts for one model. */
export interface TakenHosts {
  readonly addresses: readonly string[];
  /**
   * The model is loaded on them, and takes so many bytes on each.
   * @throws an Error where a host is to give less
   */
  loaded(bytes: readonly number[]): void;
  /** The model is gone. `isLost`: it may be loaded again soon. It never rejects. */
  release(isLost: boolean): Promise<void>;
}

export interface ShardLaneOptions {
  /** No two lanes have the same. */
  readonly name: string;
  /** How long a host may take for one stage of a run, in milliseconds. */
  readonly timeout: number;
  /** Hosts for a model. @throws an Error that says why there are none (rejects) */
  take(id: string, hosts: number, signal: AbortSignal): Promise<TakenHosts>;
}

/** A model that the worker is to load. */
export interface ShardedLoad {
  readonly id: string;
  readonly file: string;
  readonly shard: ShardSettings;
  readonly addresses: readonly string[];
  readonly timeout: number;
}

/** The worker's answer to it. `bytes`: what each host keeps for the model, with its weights. */
export interface ShardedReport extends Omit<LoadReport, 'ms' | 'version'> {
  readonly bytes: readonly number[];
}

export interface ShardedCall {
  readonly id: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly string[];
}

/** A lane for models that lie over several hosts. It has no host of its own: it takes hosts for each model. */
export async function openShardLane(options: ShardLaneOptions): Promise<Lane> {
  return new ShardLane(options);
}

/** If a host of a model is lost, so is the lane. Its next one loads the model over hosts that are there then. */
class ShardLane implements Lane {
  readonly name: string;
  readonly #options: ShardLaneOptions;
  readonly #end = new AbortController();
  readonly #taken = new Map<string, TakenHosts>();
  #worker: LaneWorker | undefined;
  #lostBy: string | undefined;
  readonly #lost = deferred<string>();
  readonly lost: Promise<string> = this.#lost.promise;

  constructor(options: ShardLaneOptions) {
    this.name = options.name;
    this.#options = options;
  }

  async load({ id, file, shard, version: known }: LaneModel): Promise<LoadReport> {
    if (!shard) throw new RunError(`${file} is for one host, and lane ${this.name} has several.`);
    const start = monotonicNow();
    let taken: TakenHosts | undefined;
    try {
      const version = fileVersion(file, known);
      taken = await this.#options.take(id, shard.hosts, this.#end.signal);
      const { timeout } = this.#options;
      const given: ShardedLoad = { id, file, shard, addresses: taken.addresses, timeout };
      const { bytes, ...report } = await this.#there().call<ShardedReport>('load', given);
      this.#taken.set(id, taken);
      taken.loaded(bytes);
      return { ...report, version, ms: monotonicNow() - start };
    } catch (error) {
      // The load's own error counts. `unload` gives the hosts back even if it fails.
      if (this.#taken.has(id)) await this.unload(id).catch(() => undefined);
      else await taken?.release(false);
      if (error instanceof LaneLostError) throw error;
      throw new RunError(messageOf(error), { away: true, cause: error });
    }
  }

  async unload(id: string): Promise<void> {
    const taken = this.#taken.get(id);
    this.#taken.delete(id);
    if (!taken) return;
    try {
      await this.#there().call('unload', id);
    } finally {
      await taken.release(false);
    }
  }

  async run({ model, inputs, keep, fetch }: LaneRun): Promise<RunReport> {
    if (keep.length > 0) throw new RunError(`"${keep[0]}" cannot stay on a lane of several hosts.`);
    const start = monotonicNow();
    const whole = wholeInputs(inputs);
    const call: ShardedCall = { id: model, inputs: whole, outputs: fetch };
    const tensors = await this.#there().call<Tensor[]>('run', call, buffersOf(whole));
    return wholeReport(tensors, monotonicNow() - start);
  }

  async fetch(): Promise<Tensor[]> {
    throw new RunError('A lane of several hosts keeps no values.');
  }

  drop(): void {}

  async close(): Promise<void> {
    const reason = 'The lane was closed.';
    await this.#worker?.close(reason);
    await this.#lose(reason);
  }

  /** The worker, which is started with the first model. @throws LaneLostError */
  #there(): LaneWorker {
    if (this.#lostBy !== undefined) throw new LaneLostError(this.#lostBy);
    if (!this.#worker) {
      const worker = new LaneWorker(
        'infer/lanes/shards/shard-lane-worker.js',
        `lane ${this.name}`,
        undefined,
      );
      this.#worker = worker;
      void worker.ended.then((reason) => this.#lose(reason));
    }
    return this.#worker;
  }

  async #lose(reason: string): Promise<void> {
    this.#end.abort();
    this.#lostBy ??= reason;
    this.#lost.resolve(reason);
    const taken = [...this.#taken.values()];
    this.#taken.clear();
    await Promise.all(taken.map((hosts) => hosts.release(true)));
  }
}
