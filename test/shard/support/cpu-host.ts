import type { InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import * as ort from 'onnxruntime-web/wasm';
import { expect } from 'vitest';
import type { Done, Host, Request } from '#farlight/shard/run/messages.js';
import { arrayOf, valuesOf } from '#farlight/shard/run/values.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';

/** A model on one host alone: ONNX Runtime's CPU kernels. */
export function runAlone(file: Uint8Array): Promise<InferenceSession> {
  return ort.InferenceSession.create(file, { executionProviders: ['wasm'] });
}

let before: Promise<unknown> = Promise.resolve();

/** Does one thing at a time with ONNX Runtime: sessions of one thread share its memory, and runs at once may destroy it. */
function alone<T>(act: () => Promise<T>): Promise<T> {
  const done = before.then(act);
  before = done.catch(() => undefined);
  return done;
}

const NOTHING: Done = { fetched: [], kept: [] };

/** Tensors on their way from one host to another, in their order. */
class CpuLine {
  readonly #sent: Tensor[] = [];
  readonly #waiting: ((tensor: Tensor) => void)[] = [];

  send(tensor: Tensor): void {
    const take = this.#waiting.shift();
    if (take) take(tensor);
    else this.#sent.push(tensor);
  }

  receive(): Promise<Tensor> {
    const sent = this.#sent.shift();
    return sent ? Promise.resolve(sent) : new Promise((take) => this.#waiting.push(take));
  }
}

/** Lines between all hosts of a model. */
export class CpuLines {
  readonly #lines = new Map<string, CpuLine>();

  line(from: CpuHost, to: CpuHost): CpuLine {
    const key = `${from.number}>${to.number}`;
    const line = this.#lines.get(key) ?? new CpuLine();
    this.#lines.set(key, line);
    return line;
  }
}

/** Hosts with lines to each other. */
export function cpuHosts(count: number): CpuHost[] {
  const lines = new CpuLines();
  const hosts: CpuHost[] = [];
  for (let number = 0; number < count; number += 1) hosts.push(new CpuHost(number, hosts, lines));
  return hosts;
}

/** A host of a model that runs in the test's own thread, on ONNX Runtime's CPU kernels. It answers one after the other. */
export class CpuHost implements Host {
  readonly lost = new Promise<Error>(() => undefined);
  readonly values = new Map<string, Tensor>();
  readonly number: number;
  readonly #hosts: readonly CpuHost[];
  readonly #lines: CpuLines;
  readonly #sessions = new Map<number, InferenceSession>();
  #before: Promise<unknown> = Promise.resolve();

  constructor(number: number, hosts: readonly CpuHost[], lines: CpuLines) {
    this.number = number;
    this.#hosts = hosts;
    this.#lines = lines;
  }

  ask(request: Request): Promise<Done> {
    const answer = this.#before.then(() => this.#answer(request));
    // The client has the error. The next request is answered all the same.
    this.#before = answer.catch(() => undefined);
    return answer;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
    this.#sessions.clear();
  }

  async #answer(request: Request): Promise<Done> {
    if (request.ask === 'load')
      this.#sessions.set(
        request.segment,
        await alone(() => ort.InferenceSession.create(request.model, { executionProviders: ['wasm'] })),
      );
    if (request.ask === 'drop') for (const value of request.values) this.values.delete(value);
    if (request.ask === 'read') {
      const fetched = request.values.map((value) => valuesOf(this.values.get(value) as Tensor));
      for (const value of request.values) this.values.delete(value);
      return { fetched, kept: [] };
    }
    return request.ask === 'run' ? this.#run(request) : NOTHING;
  }

  async #run(request: Request & { ask: 'run' }): Promise<Done> {
    const { segment, puts, receives, inputs, keeps, fetches, sends, drops } = request;
    for (const [name, { type, dims, data }] of puts)
      this.values.set(
        name,
        new ort.Tensor(type as 'float32', arrayOf(type, data.slice()) as Float32Array, dims),
      );
    for (const { value, from, type, dims, like } of receives) {
      const tensor = await this.#lines.line(this.#hosts[from] as CpuHost, this).receive();
      const expected = dims.map((size, axis) => size ?? this.values.get(like)?.dims[axis]);
      expect([tensor.type, tensor.dims]).toEqual([type, expected]);
      this.values.set(value, tensor);
    }
    const feeds = inputs.map(([input, value]) => [input, this.values.get(value)]);
    const session = this.#sessions.get(segment) as InferenceSession;
    const results = await alone(() => session.run(Object.fromEntries(feeds)));
    const sent = sends.map(({ output, to }) => {
      const tensor = results[output] as Tensor;
      this.#lines.line(this, this.#hosts[to] as CpuHost).send(tensor);
      return valuesOf(tensor).data.byteLength;
    });
    const kept = keeps.map(([output, value]) => {
      const tensor = results[output] as Tensor;
      this.values.set(value, tensor);
      return { type: tensor.type, dims: tensor.dims };
    });
    const fetched = fetches.map((name) => valuesOf(results[name] as Tensor));
    for (const value of drops) this.values.delete(value);
    return { fetched, kept, sent };
  }
}
