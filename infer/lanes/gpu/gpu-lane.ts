import type { CreateOptions, MemoryState } from '../../../client/index.js';
import { rowsOf, type Tensor } from '../../service/tensor.js';
import {
  isKept,
  type KeptValue,
  type Lane,
  type LaneInput,
  type LaneMemory,
  type LaneModel,
  type LaneRun,
  type LoadReport,
  type RunReport,
} from '../lane.js';
import { LaneWorker } from '../lane-worker.js';
import { buffersOf, joinRows } from '../tensor-rows.js';
import { GpuTimes, type LaneGpu } from './gpu-times.js';

export interface GpuLaneOptions
  extends Pick<CreateOptions, 'adapter' | 'ahead' | 'compression' | 'grouping' | 'reuse'> {
  /** No two lanes have the same. */
  readonly name: string;
  /** The host's address. A private host would be a child of the worker's, which nobody waits for when the worker is gone. */
  readonly host: string;
}

/** A run, as the worker gets it: with the marks that it sets before and behind it. */
export interface MarkedRun extends LaneRun {
  readonly marks: { readonly begin: number; readonly end: number };
}

/** The worker's answer when it has a GPU. */
export interface OpenedGpu {
  readonly state: MemoryState;
  /** Whether the host tells when its GPU works for the lane. */
  readonly isWatched: boolean;
}

/** The data that its worker starts with. */
export interface GpuLaneGiven extends GpuLaneOptions {
  /** The file of the program whose lane it is. */
  readonly program: string | undefined;
}

/**
 * Starts a worker with an ONNX Runtime and a Farlight session. Resolves once it has a GPU.
 * @throws RunError that says why it has none
 */
export async function openGpuLane(
  options: GpuLaneOptions,
  /** Of all lanes of the host, which share its GPU. */
  times: GpuTimes = new GpuTimes(),
): Promise<Lane> {
  const lane = new GpuLane(options, times.lane());
  try {
    await lane.open();
  } catch (error) {
    await lane.close();
    throw error;
  }
  return lane;
}

class GpuLane implements Lane {
  readonly name: string;
  memory!: LaneMemory;
  readonly #worker: LaneWorker;
  readonly #gpu: LaneGpu;

  constructor(options: GpuLaneOptions, gpu: LaneGpu) {
    this.name = options.name;
    this.#gpu = gpu;
    const given: GpuLaneGiven = { ...options, program: process.argv[1] };
    this.#worker = new LaneWorker('infer/lanes/gpu/gpu-lane-worker.js', `lane ${options.name}`, given);
    this.#worker.onGpu = (event) => gpu.tell(event);
    void this.#worker.ended.then(() => gpu.stop());
  }

  get lost(): Promise<string> {
    return this.#worker.ended;
  }

  async open(): Promise<void> {
    const { state, isWatched } = await this.#worker.call<OpenedGpu>('open', undefined);
    if (!isWatched) this.#gpu.stop();
    const memory = { state, onChange: () => {} };
    this.memory = memory;
    this.#worker.onMemory = (newer) => {
      memory.state = newer;
      memory.onChange();
    };
  }

  load(model: LaneModel): Promise<LoadReport> {
    return this.#worker.call('load', model);
  }

  unload(model: string): Promise<void> {
    return this.#worker.call('unload', model);
  }

  /** Rows of tensors are joined here, so that the worker gets memory of its own and the caller keeps its tensors. */
  async run(run: LaneRun): Promise<RunReport> {
    const inputs = Object.entries(run.inputs).map(
      ([name, parts]) => [name, joinTensors(name, parts)] as const,
    );
    const tensors = inputs
      .flatMap(([, parts]) => parts.map(({ value }) => value))
      .filter((value): value is Tensor => !isKept(value));
    const { time, ...marks } = this.#gpu.begin();
    const marked: MarkedRun = { ...run, inputs: Object.fromEntries(inputs), marks };
    const report = await this.#worker.call<RunReport>('run', marked, buffersOf(tensors));
    return { ...report, gpu: time };
  }

  fetch(values: readonly KeptValue[]): Promise<Tensor[]> {
    return this.#worker.call('fetch', values);
  }

  drop(values: readonly KeptValue[]): void {
    // It only fails with the lane.
    this.#worker.call('drop', values).catch(() => {});
  }

  close(): Promise<void> {
    return this.#worker.close('The lane was closed.');
  }
}

/** Joins tensors that follow each other. */
function joinTensors(name: string, parts: readonly LaneInput[]): LaneInput[] {
  const joined: LaneInput[] = [];
  let tensors: { value: Tensor; from: number; count: number }[] = [];
  const join = () => {
    if (tensors.length === 0) return;
    const value = joinRows(name, tensors);
    joined.push({ value, from: 0, count: rowsOf(value.shape) });
    tensors = [];
  };
  for (const { value, from, count } of parts) {
    if (isKept(value)) {
      join();
      joined.push({ value, from, count });
    } else tensors.push({ value, from, count });
  }
  join();
  return joined;
}
