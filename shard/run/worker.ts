// The thread of one host: an ONNX Runtime of its own, on a GPU of its own. ONNX Runtime does one thing at a time.
import { parentPort, workerData } from 'node:worker_threads';
import { close, create, globals } from '../../client/index.js';
import { setImmediate } from '../../link/machine/clock.js';
import type { Done, Reply, Request, WorkerStart } from './messages.js';
import { arrayOf, bytesPerElement, type Values, valuesOf } from './values.js';

type Ort = typeof import('onnxruntime-web/webgpu');
type Session = import('onnxruntime-web/webgpu').InferenceSession;
type OrtTensor = import('onnxruntime-web/webgpu').Tensor;

const NOTHING: Done = { fetched: [], kept: [] };

/** A value on the host. `own`: a buffer that this thread made, and destroys. */
interface Value {
  readonly tensor: OrtTensor;
  readonly own: GPUBuffer | undefined;
}

class HostThread {
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #sessions = new Map<number, Session>();
  readonly #values = new Map<string, Value>();
  readonly #errors: string[] = [];
  /** The buffer that results are read from. It grows with what is fetched at once. */
  #staging: GPUBuffer | undefined;

  constructor(ort: Ort, device: GPUDevice) {
    this.#ort = ort;
    this.#device = device;
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#errors.push((event as GPUUncapturedErrorEvent).error.message);
    });
  }

  async answer(request: Exclude<Request, { ask: 'close' }>): Promise<Done> {
    switch (request.ask) {
      case 'load':
        await this.#load(request.segment, request.model);
        return NOTHING;
      case 'loaded':
        await this.#device.queue.onSubmittedWorkDone();
        this.#checkErrors(`cannot hold its ${(request.weights / 2 ** 20).toFixed(1)} MiB of weights: `);
        return NOTHING;
      case 'run':
        return this.#run(request);
      case 'drop':
        for (const value of request.values) this.#drop(value);
        return NOTHING;
    }
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
  }

  async #load(segment: number, model: Uint8Array<ArrayBuffer>): Promise<void> {
    const session = await this.#ort.InferenceSession.create(model, {
      executionProviders: [{ name: 'webgpu', device: this.#device }],
      preferredOutputLocation: 'gpu-buffer',
      logSeverityLevel: 3,
    });
    this.#sessions.set(segment, session);
  }

  async #run({ segment, puts, inputs, keeps, fetches, drops }: Request & { ask: 'run' }): Promise<Done> {
    const session = this.#sessions.get(segment);
    if (!session) throw new Error(`Farlight bug: segment ${segment} is not loaded`);
    for (const [name, values] of puts) this.#put(name, values);
    const feeds = Object.fromEntries(inputs.map(([input, value]) => [input, this.#value(value)]));
    const results = await session.run(feeds);
    try {
      const fetched = await this.#fetch(fetches.map((name) => results[name] as OrtTensor));
      this.#checkErrors();
      const kept = keeps.map(([output, value]) => {
        const tensor = results[output] as OrtTensor;
        this.#values.set(value, { tensor, own: undefined });
        return { type: tensor.type, dims: tensor.dims };
      });
      return { fetched, kept };
    } finally {
      const stays = new Set([...this.#values.values()].map(({ tensor }) => tensor));
      for (const tensor of Object.values(results)) if (!stays.has(tensor)) tensor.dispose();
      for (const value of drops) this.#drop(value);
    }
  }

  /** Lays a value on the GPU. Whole numbers stay here: ONNX Runtime reads most of them on the CPU. */
  #put(name: string, { type, dims, data }: Values): void {
    const { Tensor } = this.#ort;
    if ((type !== 'float32' && type !== 'float16') || data.byteLength === 0) {
      const tensor = new Tensor(type as 'float32', arrayOf(type, data) as Float32Array, dims);
      this.#values.set(name, { tensor, own: undefined });
      return;
    }
    // WebGPU writes whole words, and ONNX Runtime binds buffers of whole blocks of 16 bytes.
    const own = this.#device.createBuffer({
      size: Math.ceil(data.byteLength / 16) * 16,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
    const rest = data.byteLength % 4;
    this.#device.queue.writeBuffer(own, 0, data, 0, data.byteLength - rest);
    if (rest > 0) {
      const last = new Uint8Array(4);
      last.set(data.subarray(data.byteLength - rest));
      this.#device.queue.writeBuffer(own, data.byteLength - rest, last);
    }
    this.#values.set(name, { tensor: Tensor.fromGpuBuffer(own, { dataType: type, dims }), own });
  }

  #value(name: string): OrtTensor {
    const value = this.#values.get(name);
    if (!value) throw new Error(`Farlight bug: the value "${name}" is not on this host`);
    return value.tensor;
  }

  #drop(name: string): void {
    const value = this.#values.get(name);
    this.#values.delete(name);
    value?.tensor.dispose();
    value?.own?.destroy();
  }

  /** Reads results, all of them with one wait. */
  async #fetch(tensors: readonly OrtTensor[]): Promise<Values[]> {
    const sizes = tensors.map(({ type, size }) => size * bytesPerElement(type));
    const isOnGpu = (tensor: OrtTensor) => tensor.location === 'gpu-buffer';
    let total = 0;
    const offsets = tensors.map((tensor, at) => {
      const offset = total;
      if (isOnGpu(tensor)) total += Math.ceil((sizes[at] as number) / 8) * 8;
      return offset;
    });
    const device = this.#device;
    if (total > 0) {
      if (!this.#staging || this.#staging.size < total) {
        this.#staging?.destroy();
        const usage = GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ;
        this.#staging = device.createBuffer({ size: total, usage });
      }
      const encoder = device.createCommandEncoder();
      for (const [at, tensor] of tensors.entries()) {
        const size = Math.ceil((sizes[at] as number) / 4) * 4;
        if (isOnGpu(tensor) && size > 0)
          encoder.copyBufferToBuffer(
            tensor.gpuBuffer as GPUBuffer,
            0,
            this.#staging,
            offsets[at] as number,
            size,
          );
      }
      device.queue.submit([encoder.finish()]);
      await this.#staging.mapAsync(GPUMapMode.READ, 0, total);
    }
    const mapped = total > 0 ? this.#staging?.getMappedRange(0, total) : undefined;
    const fetched = tensors.map((tensor, at): Values => {
      const { type, dims } = tensor;
      const [offset, size] = [offsets[at] as number, sizes[at] as number];
      if (isOnGpu(tensor) && mapped)
        return { type, dims, data: new Uint8Array(mapped.slice(offset, offset + size)) };
      return valuesOf(tensor);
    });
    if (mapped) this.#staging?.unmap();
    return fetched;
  }

  /** Throws an Error if the GPU has reported one since. */
  #checkErrors(before = ''): void {
    const [first] = this.#errors.splice(0);
    if (first !== undefined) throw new Error(`${before}${first}`);
  }
}

async function start({ host }: WorkerStart): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error('Farlight bug: this file runs in a worker');
  const say = (reply: Reply) => {
    port.postMessage(reply, 'done' in reply ? reply.done.fetched.map(({ data }) => data.buffer) : []);
  };
  Object.assign(globalThis, globals);
  const gpu = create({ host });
  const scope = globalThis as { navigator?: object };
  scope.navigator ??= {};
  Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  let thread: Promise<HostThread> | undefined;
  let isLost = false;
  const onLost = (lost: string) => {
    isLost = true;
    say({ lost });
  };
  let before: Promise<unknown> = Promise.resolve();
  port.on('message', ({ id, ...request }: Request & { id: number }) => {
    before = before.then(async () => {
      try {
        if (request.ask === 'close') {
          await (await thread)?.release();
          close(gpu);
          say({ id, done: NOTHING });
          return;
        }
        thread ??= open(gpu, onLost);
        say({ id, done: await (await thread).answer(request) });
      } catch (error) {
        // If the GPU is lost, that is the reason, and the client hears of it once.
        await new Promise(setImmediate);
        if (!isLost) say({ id, failed: error instanceof Error ? error.message : String(error) });
      }
    });
  });
}

async function open(gpu: GPU, onLost: (reason: string) => void): Promise<HostThread> {
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('it has no GPU');
  const ort = await import('onnxruntime-web/webgpu');
  ort.env.wasm.numThreads = 1;
  const requiredLimits: Record<string, number> = {};
  for (const limit in adapter.limits) {
    const value = adapter.limits[limit as keyof GPUSupportedLimits];
    if (typeof value === 'number') requiredLimits[limit] = value;
  }
  const device = await adapter.requestDevice({
    requiredFeatures: [...adapter.features] as GPUFeatureName[],
    requiredLimits,
  });
  void device.lost.then(({ message }) => onLost(message || 'its GPU is lost'));
  // ONNX Runtime waits for an error scope in each run. Errors that no scope catches come without a wait.
  device.pushErrorScope = () => undefined;
  device.popErrorScope = () => Promise.resolve(null);
  return new HostThread(ort, device);
}

await start(workerData as WorkerStart);
