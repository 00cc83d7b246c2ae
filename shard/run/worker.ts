// The thread of one host: an ONNX Runtime of its own, on a GPU of its own. ONNX Runtime does one thing at a time.
import { parentPort, workerData } from 'node:worker_threads';
import {
  close,
  create,
  type GpuMemory,
  globals,
  gpuLines,
  gpuMemory,
  type Line,
} from '../../client/index.js';
import { setImmediate } from '../../link/machine/clock.js';
import type { Receive, Send } from '../program/program.js';
import { HostValues } from './host-values.js';
import type { Done, Reply, Request, WorkerStart } from './messages.js';
import { bytesPerElement, valuesOf } from './values.js';

type Ort = typeof import('onnxruntime-web/webgpu');
type Session = import('onnxruntime-web/webgpu').InferenceSession;
type OrtTensor = import('onnxruntime-web/webgpu').Tensor;

/**
 * A host waits for a range of another host for this part of its own time limit. So if a host stands still, the hosts that
 * wait for it fail first, and its own limit then names it.
 */
const PART_OF_TIMEOUT = 0.5;

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const wholeWords = (bytes: number) => Math.ceil(bytes / 4) * 4;

const NOTHING: Done = { fetched: [], kept: [] };

class HostThread {
  readonly #ort: Ort;
  readonly #device: GPUDevice;
  readonly #memory: GpuMemory;
  readonly #sessions = new Map<number, Session>();
  readonly #values: HostValues;
  /** By the number of the host at the other end. */
  readonly #lines = new Map<number, Line>();
  /** How long a range from another host may take, in milliseconds. */
  readonly #timeout: number;
  readonly #errors: string[] = [];

  constructor(ort: Ort, device: GPUDevice, memory: GpuMemory, timeout: number) {
    this.#ort = ort;
    this.#device = device;
    this.#memory = memory;
    this.#values = new HostValues(ort, device);
    this.#timeout = timeout;
    device.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#errors.push((event as GPUUncapturedErrorEvent).error.message);
    });
  }

  async answer(request: Exclude<Request, { ask: 'close' }>): Promise<Done> {
    switch (request.ask) {
      case 'load':
        await this.#load(request);
        return NOTHING;
      case 'loaded':
        await this.#device.queue.onSubmittedWorkDone();
        this.#checkErrors(`cannot hold its ${mebibytes(request.weights)} of weights: `);
        return NOTHING;
      case 'reserve':
        await this.#reserve(request.bytes, request.weights);
        return NOTHING;
      case 'accept': {
        const { ticket, line } = await gpuLines(this.#device).accept();
        this.#lines.set(request.peer, line);
        return { ...NOTHING, ticket };
      }
      case 'connect':
        this.#lines.set(request.peer, await gpuLines(this.#device).connect(request.host, request.ticket));
        return NOTHING;
      case 'run':
        return this.#run(request);
      case 'read':
        return this.#read(request.values);
      case 'drop':
        for (const value of request.values) this.#values.drop(value);
        return NOTHING;
    }
  }

  async release(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
  }

  async #load({ segment, model, layout }: Request & { ask: 'load' }): Promise<void> {
    const session = await this.#ort.InferenceSession.create(model, {
      executionProviders: [{ name: 'webgpu', device: this.#device, preferredLayout: layout }],
      preferredOutputLocation: 'gpu-buffer',
      logSeverityLevel: 3,
    });
    this.#sessions.set(segment, session);
  }

  /** The session's end gives the memory up. A host that does not know its memory is taken as it is. */
  async #reserve(bytes: number, weights: number): Promise<void> {
    const { limit, available } = await this.#memory.read();
    if (limit === undefined || bytes === 0 || (await this.#memory.reserve(bytes))) return;
    throw new Error(
      `it has ${mebibytes(available ?? 0)} of GPU memory free, and its part of the model takes ${mebibytes(bytes)}, of which ${mebibytes(weights)} are weights`,
    );
  }

  async #run(request: Request & { ask: 'run' }): Promise<Done> {
    const { segment, puts, receives, inputs, keeps, fetches, sends, drops } = request;
    const session = this.#sessions.get(segment);
    if (!session) throw new Error(`Farlight bug: segment ${segment} is not loaded`);
    for (const [name, values] of puts) this.#values.put(name, values);
    for (const one of receives) this.#receive(one);
    const feeds = Object.fromEntries(inputs.map(([input, value]) => [input, this.#values.get(value)]));
    const results = await session.run(feeds);
    try {
      const sent = sends.map(({ output, to }) => this.#send(results[output] as OrtTensor, to));
      const fetched = await this.#values.fetch(fetches.map((name) => results[name] as OrtTensor));
      this.#checkErrors();
      const kept = keeps.map(([output, value]) => {
        const tensor = results[output] as OrtTensor;
        this.#values.keep(value, tensor);
        return { type: tensor.type, dims: tensor.dims };
      });
      return { fetched, kept, sent };
    } finally {
      for (const tensor of Object.values(results)) if (!this.#values.has(tensor)) tensor.dispose();
      for (const value of drops) this.#values.drop(value);
    }
  }

  /** All earlier requests are done when the values have come, or, without values, when the queue is done. */
  async #read(names: readonly string[]): Promise<Done> {
    const fetched = await this.#values.fetch(names.map((name) => this.#values.get(name)));
    if (names.length === 0) await this.#device.queue.onSubmittedWorkDone();
    this.#checkErrors();
    for (const name of names) this.#values.drop(name);
    return { fetched, kept: [] };
  }

  /** Sends a tensor to another host. Returns its bytes. */
  #send(tensor: OrtTensor, to: Send['to']): number {
    const bytes = tensor.size * bytesPerElement(tensor.type);
    if (bytes === 0) return 0;
    if (tensor.location === 'gpu-buffer') {
      this.#line(to).sendRange(tensor.gpuBuffer as GPUBuffer, 0, wholeWords(bytes));
      return bytes;
    }
    const own = this.#values.upload(valuesOf(tensor));
    this.#line(to).sendRange(own, 0, wholeWords(bytes));
    own.destroy();
    return bytes;
  }

  /** Makes a value of the next range from another host. */
  #receive({ value, from, type, dims, like }: Receive): void {
    const own = dims.map((size, axis) => size ?? (this.#values.get(like).dims[axis] as number));
    const bytes = own.reduce((product, size) => product * size, bytesPerElement(type));
    if (bytes === 0) {
      this.#values.put(value, { type, dims: own, data: new Uint8Array(0) });
      return;
    }
    const buffer = this.#values.buffer(bytes);
    this.#line(from).receiveRange(buffer, 0, wholeWords(bytes), { timeout: this.#timeout });
    this.#values.lay(value, buffer, type, own);
  }

  #line(peer: number): Line {
    const line = this.#lines.get(peer);
    if (!line) throw new Error(`Farlight bug: there is no line to host ${peer}`);
    return line;
  }

  /** Throws an Error if the GPU has reported one since the last check. */
  #checkErrors(before = ''): void {
    const [first] = this.#errors.splice(0);
    if (first !== undefined) throw new Error(`${before}${first}`);
  }
}

async function start({ host, timeout }: WorkerStart): Promise<void> {
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
        thread ??= open(gpu, timeout, onLost);
        say({ id, done: await (await thread).answer(request) });
      } catch (error) {
        // If the GPU is lost, that is the reason. The client hears of it only once.
        await new Promise(setImmediate);
        if (!isLost) say({ id, failed: error instanceof Error ? error.message : String(error) });
      }
    });
  });
}

async function open(gpu: GPU, timeout: number, onLost: (reason: string) => void): Promise<HostThread> {
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
  return new HostThread(ort, device, gpuMemory(gpu), Math.ceil(timeout * PART_OF_TIMEOUT));
}

await start(workerData as WorkerStart);
