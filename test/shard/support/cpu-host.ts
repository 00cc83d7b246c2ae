import type { InferenceSession, Tensor } from 'onnxruntime-web/wasm';
import * as ort from 'onnxruntime-web/wasm';
import type { Done, Host, Request } from '#farlight/shard/run/messages.js';
import { arrayOf, valuesOf } from '#farlight/shard/run/values.js';

ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'fatal';

/** A model on one host alone: ONNX Runtime's CPU kernels. */
export function runAlone(file: Uint8Array): Promise<InferenceSession> {
  return ort.InferenceSession.create(file, { executionProviders: ['wasm'] });
}

const NOTHING: Done = { fetched: [], kept: [] };

/** A host of a model that runs in the test's own thread, on ONNX Runtime's CPU kernels. */
export class CpuHost implements Host {
  readonly lost = new Promise<Error>(() => undefined);
  readonly values = new Map<string, Tensor>();
  readonly #sessions = new Map<number, InferenceSession>();

  async ask(request: Request): Promise<Done> {
    if (request.ask === 'load')
      this.#sessions.set(
        request.segment,
        await ort.InferenceSession.create(request.model, { executionProviders: ['wasm'] }),
      );
    if (request.ask === 'drop') for (const value of request.values) this.values.delete(value);
    return request.ask === 'run' ? this.#run(request) : NOTHING;
  }

  async close(): Promise<void> {
    for (const session of this.#sessions.values()) await session.release();
    this.#sessions.clear();
  }

  async #run({ segment, puts, inputs, keeps, fetches, drops }: Request & { ask: 'run' }): Promise<Done> {
    for (const [name, { type, dims, data }] of puts)
      this.values.set(
        name,
        new ort.Tensor(type as 'float32', arrayOf(type, data.slice()) as Float32Array, dims),
      );
    const feeds = inputs.map(([input, value]) => [input, this.values.get(value)]);
    const results = await (this.#sessions.get(segment) as InferenceSession).run(Object.fromEntries(feeds));
    const kept = keeps.map(([output, value]) => {
      const tensor = results[output] as Tensor;
      this.values.set(value, tensor);
      return { type: tensor.type, dims: tensor.dims };
    });
    const fetched = fetches.map((name) => valuesOf(results[name] as Tensor));
    for (const value of drops) this.values.delete(value);
    return { fetched, kept };
  }
}
