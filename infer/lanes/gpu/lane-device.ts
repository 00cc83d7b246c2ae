import {
  type CreateOptions,
  close,
  create,
  type GpuMemory,
  globals,
  gpuMemory,
  type MemoryPeak,
  type MemoryState,
} from '../../../client/index.js';
import { RunError } from '../lane.js';

const FILTERS = ['validation', 'out-of-memory', 'internal'] as const;

/** Work that the GPU has, and its pending result: `guard` awaits the errors beside it. */
export interface UnderWay<T> {
  readonly result: Promise<T>;
}

/** The device of a lane, which is ONNX Runtime's too. It gathers the errors of ONNX Runtime's work. */
export class LaneDevice {
  readonly adapter: GPUAdapter;
  readonly device: GPUDevice;
  readonly #gpu: GPU;
  readonly #memory: GpuMemory;
  readonly #push: GPUDevice['pushErrorScope'];
  readonly #pop: GPUDevice['popErrorScope'];

  /** @throws FarlightError if the host cannot be reached, or has no such GPU */
  static async open(options: CreateOptions): Promise<LaneDevice> {
    const gpu = create(options);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error('The host has no GPU of this kind.');
    const limits: Record<string, number> = {};
    for (const name in adapter.limits)
      limits[name] = adapter.limits[name as keyof GPUSupportedLimits] as number;
    const device = await adapter.requestDevice({
      // All that the adapter has: ONNX Runtime looks which of it helps a model.
      requiredFeatures: [...adapter.features] as GPUFeatureName[],
      requiredLimits: limits,
    });
    return new LaneDevice(gpu, adapter, device);
  }

  private constructor(gpu: GPU, adapter: GPUAdapter, device: GPUDevice) {
    this.#gpu = gpu;
    this.adapter = adapter;
    this.device = device;
    this.#memory = gpuMemory(device);
    this.#push = device.pushErrorScope.bind(device);
    this.#pop = device.popErrorScope.bind(device);
    // ONNX Runtime awaits each of these before it goes on: an error scope in each run, and in the first run of a batch one
    // pipeline after the other. `guard` gets their errors anyway.
    Object.assign(device, {
      pushErrorScope: () => {},
      popErrorScope: async () => null,
      createComputePipelineAsync: async (descriptor: GPUComputePipelineDescriptor) =>
        device.createComputePipeline(descriptor),
    });
  }

  /** Makes this thread look like a page whose GPU is the lane's: ONNX Runtime runs in pages. */
  installGlobals(): void {
    for (const [name, value] of Object.entries(globals))
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    Object.defineProperty(globalThis, 'navigator', { value: { gpu: this.#gpu }, configurable: true });
  }

  /** Reports the host's memory, now and after each change. Resolves to the first state. */
  async followMemory(tell: (state: MemoryState) => void): Promise<MemoryState> {
    const states = this.#memory[Symbol.asyncIterator]();
    const first = await states.next();
    const follow = async () => {
      for (let next = await states.next(); !next.done; next = await states.next()) tell(next.value);
    };
    // It ends with the session. The lane hears of that elsewhere.
    follow().catch(() => {});
    return first.value as MemoryState;
  }

  /** The peak of memory since the last call, after all work that the GPU has. It may be awaited later. */
  resetPeak(): Promise<MemoryPeak> {
    const peak = this.#memory.resetPeak();
    // The error rejects the returned promise, too. A run that failed before never awaits it.
    peak.catch(() => {});
    return peak;
  }

  /**
   * Reserves so many bytes while `act` runs. The host is asked in the same round trip.
   * @throws RunError `taken` where `act` was out of memory and the reservation was refused
   */
  async reserving<T>(bytes: number | undefined, act: () => Promise<T>): Promise<T> {
    if (!bytes) return act();
    // A host that knows no limit cannot reserve. That says nothing of others.
    const reserved = this.#memory.reserve(Math.ceil(bytes)).catch(() => undefined);
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof RunError && error.memory) || (await reserved) !== null) throw error;
      throw new RunError(error.message, { memory: true, taken: true, cause: error });
    } finally {
      (await reserved)?.release();
    }
  }

  /**
   * Resolves when the GPU has done the work of `act`. It takes one round trip: everything is asked for before anything is
   * awaited.
   * @throws RunError where the GPU had an error
   */
  async guard<T>(act: () => Promise<UnderWay<T>>): Promise<T> {
    for (const filter of FILTERS) this.#push(filter);
    let underWay: UnderWay<T> | undefined;
    let thrown: unknown;
    try {
      underWay = await act();
    } catch (error) {
      thrown = error;
    }
    const scopes = Promise.all(FILTERS.map(() => this.#pop()));
    const [result, errors] = await Promise.allSettled([underWay?.result, scopes]);
    if (errors.status === 'rejected') throw errors.reason;
    const [internal, memory, validation] = errors.value;
    // Where there was no memory for a buffer, each use of the buffer is an error, too.
    if (memory) throw new RunError(`The GPU has not enough memory: ${memory.message}`, { memory: true });
    const error = internal ?? validation;
    if (error) throw new RunError(`The GPU refused the run: ${error.message}`);
    if (!underWay) throw thrown;
    if (result.status === 'rejected') throw result.reason;
    return result.value as T;
  }

  close(): void {
    close(this.#gpu);
  }
}
