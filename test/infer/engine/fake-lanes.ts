import { basename, dirname } from 'node:path';
import type { HostMemory } from '#farlight/infer/engine/host-memory.js';
import type { EngineHost } from '#farlight/infer/engine/hosts.js';
import {
  isKept,
  type KeptValue,
  type Lane,
  type LaneInput,
  LaneLostError,
  type LaneModel,
  type LaneRun,
  type LoadReport,
  RunError,
  type RunReport,
} from '#farlight/infer/lanes/lane.js';
import { at, type ModelCosts } from '#farlight/infer/schedule/costs.js';
import type { Tensor, TensorDeclaration } from '#farlight/infer/service/tensor.js';
import type { EventTime } from './event-time.js';

/** A model of INT32: its computation and its costs. */
export interface FakeModel {
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
  readonly costs: Pick<ModelCosts, 'weights' | 'memory' | 'gpu' | 'wait' | 'load'>;
  /** Of all inputs joined, all outputs. It may throw. */
  compute(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor>;
}

/** A host with a GPU and memory that its lanes share, and lanes that can be lost. */
export class FakeHost implements EngineHost {
  readonly name: string;
  readonly resource: EngineHost['resource'];
  readonly lanes: number;
  readonly memory: HostMemory & { capacity: { bytes: number; limit: number } };
  /** Lanes that are open. */
  readonly open: Set<FakeLane> = new Set();
  isDown = false;
  /** Says which files there are, and how often a lane was to load one. */
  version = 'first';
  loads = 0;
  /** Bytes that others have, of which the host hears only when a run is to be reserved. */
  taken = 0;
  /** The bytes that each run was to reserve, those that could not among them. */
  readonly reserves: number[] = [];
  used = 0;
  peak = 0;
  gpuFreeAt = 0;
  readonly runs: {
    readonly model: string;
    readonly batch: number;
    readonly lane: string;
    readonly at: number;
  }[] = [];
  readonly time: EventTime;
  readonly models: Readonly<Record<string, FakeModel>>;
  #listeners = new Set<() => void>();

  constructor(
    time: EventTime,
    models: Readonly<Record<string, FakeModel>>,
    { name = 'gpu', resource = 'gpu' as EngineHost['resource'], lanes = 1, bytes = 0 } = {},
  ) {
    this.time = time;
    this.models = models;
    this.name = name;
    this.resource = resource;
    this.lanes = lanes;
    this.memory = {
      capacity: { bytes, limit: bytes },
      onChange: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
  }

  async openLane(name: string): Promise<Lane> {
    if (this.isDown) throw new Error('The host is down.');
    const lane = new FakeLane(name, this);
    this.open.add(lane);
    return lane;
  }

  setBytes(bytes: number): void {
    this.memory.capacity = { ...this.memory.capacity, bytes };
    for (const listener of this.#listeners) listener();
  }

  use(bytes: number): void {
    this.used += bytes;
    this.peak = Math.max(this.peak, this.used);
  }
}

export class FakeLane implements Lane {
  readonly name: string;
  readonly lost: Promise<string>;
  readonly #host: FakeHost;
  readonly #loaded = new Map<string, FakeModel>();
  readonly kept = new Map<number, Tensor>();
  #lose: (reason: string) => void = () => {};
  #reject: ((error: Error) => void) | undefined;
  #isGone = false;
  #ids = 0;
  /** The bytes of the run or the load that is under way. */
  #running = 0;

  constructor(name: string, host: FakeHost) {
    this.name = name;
    this.#host = host;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** How many models are loaded. */
  get loaded(): number {
    return this.#loaded.size;
  }

  /** The worker is gone, with all that it had. */
  kill(reason = 'The worker ended.'): void {
    if (this.#isGone) return;
    this.#isGone = true;
    const host = this.#host;
    host.open.delete(this);
    host.use(-this.#running);
    for (const { costs } of this.#loaded.values()) host.use(-costs.weights);
    for (const tensor of this.kept.values()) host.use(-bytes(tensor));
    this.#loaded.clear();
    this.kept.clear();
    this.#lose(reason);
    this.#reject?.(new LaneLostError(reason));
  }

  async load({ id, file, function: run, version }: LaneModel): Promise<LoadReport> {
    this.#host.loads += 1;
    if (version !== undefined && version !== this.#host.version) {
      throw new RunError(`${basename(file)} has changed.`, { away: true });
    }
    const model = this.#host.models[run ?? basename(dirname(dirname(file)))];
    if (!model) throw new Error(`The file ${basename(file)} is no model.`);
    const { weights, load } = model.costs;
    return this.#call(async () => {
      if (this.#loaded.has(id)) throw new Error(`${id} is loaded already`);
      if (run === undefined) {
        this.#take(weights);
        this.#running = weights;
      }
      await this.#host.time.sleep(load);
      if (this.#isGone) return undefined as never;
      this.#running = 0;
      this.#loaded.set(id, model);
      const { inputs, outputs } = run === undefined ? model : { inputs: [], outputs: [] };
      return { inputs, outputs, version: this.#host.version, weights, ms: load };
    });
  }

  async unload(id: string): Promise<void> {
    const model = this.#loaded.get(id);
    if (!model) return;
    this.#loaded.delete(id);
    this.#host.use(-model.costs.weights);
  }

  run({ model: id, inputs, parts, keep, fetch, reserve = 0 }: LaneRun): Promise<RunReport> {
    const model = this.#loaded.get(id);
    if (!model) return Promise.reject(new Error(`${id} is not loaded`));
    const { costs } = model;
    const batch = parts.reduce((sum, count) => sum + count, 0);
    const host = this.#host;
    const started = host.time.now();
    host.reserves.push(reserve);
    if (host.taken > 0 && host.used + reserve > host.memory.capacity.bytes - host.taken) {
      return Promise.reject(new RunError('Others have it.', { memory: true, taken: true }));
    }
    host.runs.push({ model: id, batch, lane: this.name, at: started });
    return this.#call(async () => {
      const joined = Object.fromEntries(
        Object.entries(inputs).map(([name, list]) => [name, this.#joined(name, list)]),
      );
      const memory = at(costs.memory, batch);
      this.#take(memory);
      this.#running = memory;
      await host.time.sleep(at(costs.wait, batch));
      const gpu = at(costs.gpu, batch);
      const reached = host.time.now();
      host.gpuFreeAt = Math.max(host.gpuFreeAt, reached) + gpu;
      await host.time.sleep(host.gpuFreeAt - host.time.now());
      if (this.#isGone) return undefined as never;
      this.#running = 0;
      host.use(-memory);
      const computed = computedBy(model, joined);
      const outputs: Record<string, (Tensor | KeptValue)[]> = {};
      for (const name of [...keep, ...fetch]) {
        const tensor = computed[name];
        if (!tensor) continue;
        const split = splitTensor(tensor, parts);
        outputs[name] = keep.includes(name) ? split.map((tensor) => this.#keep(tensor)) : split;
      }
      const ms = host.time.now() - started;
      const time = { ms: gpu, busyMs: host.time.now() - reached };
      return { outputs, peak: memory, ms, inputMs: 0, inferMs: ms, outputMs: 0, gpu: Promise.resolve(time) };
    });
  }

  async fetch(values: readonly KeptValue[]): Promise<Tensor[]> {
    return values.map(({ id }) => this.kept.get(id) as Tensor);
  }

  drop(values: readonly KeptValue[]): void {
    for (const { id } of values) {
      const tensor = this.kept.get(id);
      if (tensor && this.kept.delete(id)) this.#host.use(-bytes(tensor));
    }
  }

  async close(): Promise<void> {
    this.kill('It was closed.');
  }

  #call<T>(act: () => Promise<T>): Promise<T> {
    if (this.#reject) throw new Error('a lane does one thing at a time');
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject;
      act().then(resolve, reject);
    }).finally(() => {
      this.#reject = undefined;
    });
  }

  #take(bytes: number): void {
    const { used, memory } = this.#host;
    if (this.#host.resource === 'gpu' && used + bytes > memory.capacity.bytes) {
      throw new RunError('The host is out of memory.', { memory: true });
    }
    this.#host.use(bytes);
  }

  #keep(tensor: Tensor): KeptValue {
    const id = this.#ids++;
    this.kept.set(id, tensor);
    this.#host.use(bytes(tensor));
    return { lane: this.name, id, name: tensor.name, shape: tensor.shape };
  }

  #joined(name: string, list: readonly LaneInput[]): Tensor {
    const tensors = list.map(({ value, from, count }) => {
      const tensor = isKept(value) ? this.kept.get(value.id) : value;
      if (!tensor) throw new Error(`a value of ${name} is not on lane ${this.name}`);
      if (tensor.shape.length === 0) return tensor;
      const row = tensor.data.length / Math.max(1, tensor.shape[0] as number);
      return {
        ...tensor,
        shape: [count, ...tensor.shape.slice(1)],
        data: (tensor.data as Uint8Array).subarray(from * row, (from + count) * row),
      };
    });
    const [first] = tensors as [Tensor, ...Tensor[]];
    if (tensors.length === 1) return { ...first, name };
    const rows = tensors.reduce((sum, { shape }) => sum + (shape[0] as number), 0);
    const data = Buffer.concat(tensors.map(({ data }) => data as Uint8Array));
    return { name, datatype: first.datatype, shape: [rows, ...first.shape.slice(1)], data };
  }
}

function computedBy(model: FakeModel, inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  try {
    return model.compute(inputs);
  } catch (error) {
    throw new RunError((error as Error).message);
  }
}

function splitTensor(tensor: Tensor, parts: readonly number[]): Tensor[] {
  if (parts.length === 1) return [tensor];
  const all = tensor.data as Uint8Array;
  const row = all.length / (tensor.shape[0] as number);
  let from = 0;
  return parts.map((count) => {
    const data = all.subarray(from * row, (from + count) * row);
    from += count;
    return { ...tensor, shape: [count, ...tensor.shape.slice(1)], data };
  });
}

function bytes({ data }: Tensor): number {
  return (data as Uint8Array).length;
}

export function int32(name: string, shape: readonly number[], values: readonly number[]): Tensor {
  return { name, datatype: 'INT32', shape, data: new Uint8Array(Int32Array.from(values).buffer) };
}

export function numbers({ data }: Tensor): number[] {
  return [...new Int32Array(Uint8Array.from(data as Uint8Array).buffer)];
}

const NONE = { base: 0, perItem: 0 };

/** A model of x to y, which maps each number. Its shape is free in the first dimension, if no other is given. */
export function mapping(
  map: (x: number) => number,
  costs: Partial<FakeModel['costs']> = {},
  shape: readonly number[] = [-1, 2],
): FakeModel {
  return {
    inputs: [{ name: 'x', datatype: 'INT32', shape }],
    outputs: [{ name: 'y', datatype: 'INT32', shape }],
    costs: { weights: 0, memory: NONE, gpu: { base: 10, perItem: 1 }, wait: NONE, load: 0, ...costs },
    compute: ({ x }) => ({ y: int32('y', (x as Tensor).shape, numbers(x as Tensor).map(map)) }),
  };
}
