import {
  InferenceError,
  type InferenceRequest,
  type InferenceResult,
  type InferenceService,
  type LoadOverrides,
  type ModelConfiguration,
  type ModelStatistics,
} from '#farlight/infer/service/service.js';
import type { ServiceState } from '#farlight/infer/service/state.js';
import {
  DATATYPES,
  type Datatype,
  elements,
  type Tensor,
  type TensorDeclaration,
} from '#farlight/infer/service/tensor.js';

interface FakeModel {
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
  readonly maxBatchSize: number;
  run(inputs: readonly Tensor[]): Tensor[] | Promise<Tensor[]>;
}

/**
 * A service that computes by itself: the sum and difference of Triton's example models, an echo for each datatype, and a
 * model that answers when a test says so.
 */
export class FakeService implements InferenceService {
  ready = true;
  /** Its requests, the last first. */
  readonly asked: InferenceRequest[] = [];
  /** The signals of the requests that `slow` has. */
  readonly waiting: { signal: AbortSignal | undefined; release(): void }[] = [];
  /** Each error once, by model: what the next request of it gets. */
  readonly failures = new Map<string, Error>();
  readonly #batchSizes = new Map<string, number>();
  readonly #unloaded = new Set<string>();
  readonly #counts = new Map<string, number>();

  state(): ServiceState {
    return { requests: this.waiting.length, backlog: 0, queues: [], hosts: [], lanes: [] };
  }

  onRun(): () => void {
    return () => {};
  }

  index() {
    return [...MODELS.keys()].map((name) => ({
      name,
      version: '1',
      state: this.#unloaded.has(name) ? ('UNAVAILABLE' as const) : ('READY' as const),
      ...(this.#unloaded.has(name) && { reason: 'unloaded' }),
    }));
  }

  metadata(name: string, version?: string) {
    const { maxBatchSize: _, labels: _labels, ...metadata } = this.configuration(name, version);
    return metadata;
  }

  configuration(name: string, version?: string): ModelConfiguration {
    const { inputs, outputs, maxBatchSize } = this.#model(name, version);
    const size = this.#batchSizes.get(name) ?? maxBatchSize;
    const described = { name, versions: ['1'], platform: 'onnxruntime_onnx', inputs, outputs } as const;
    return { ...described, maxBatchSize: size, ...(name === 'simple' && { labels: LABELS }) };
  }

  statistics(name?: string, version?: string): ModelStatistics[] {
    if (name !== undefined) this.#model(name, version);
    const names = name === undefined ? [...MODELS.keys()] : [name];
    return names.map((each) => {
      const count = this.#counts.get(each) ?? 0;
      const took = { count, ns: count * 1000.5 };
      return {
        name: each,
        version: '1',
        lastInference: count && 1_700_000_000_000.5,
        inferenceCount: count,
        executionCount: count,
        success: took,
        fail: { count: 0, ns: 0 },
        queue: took,
        computeInput: took,
        computeInfer: took,
        computeOutput: took,
        batches: count ? [{ batchSize: 1, computeInput: took, computeInfer: took, computeOutput: took }] : [],
      };
    });
  }

  async infer(request: InferenceRequest, signal?: AbortSignal): Promise<InferenceResult> {
    this.asked.unshift(request);
    const { model, id } = request;
    const { inputs, run } = this.#model(model, request.version);
    const failure = this.failures.get(model);
    this.failures.delete(model);
    if (failure) throw failure;
    for (const { name, datatype } of inputs) {
      const given = request.inputs.find((each) => each.name === name);
      if (given?.datatype !== datatype) {
        throw new InferenceError('invalid', `model "${model}" needs the input "${name}" of ${datatype}`);
      }
    }
    if (model === 'slow') await this.#wait(signal);
    const all = await run(request.inputs);
    const outputs = request.outputs?.map((name) => {
      const found = all.find((each) => each.name === name);
      if (!found) throw new InferenceError('invalid', `model "${model}" has no output "${name}"`);
      return found;
    });
    this.#counts.set(model, (this.#counts.get(model) ?? 0) + 1);
    return { model, version: '1', ...(id !== undefined && { id }), outputs: outputs ?? all };
  }

  async load(name: string, { maxBatchSize }: LoadOverrides = {}): Promise<void> {
    if (!MODELS.has(name)) throw new InferenceError('not-found', `there is no model "${name}"`);
    this.#unloaded.delete(name);
    if (maxBatchSize === undefined) this.#batchSizes.delete(name);
    else this.#batchSizes.set(name, maxBatchSize);
  }

  async unload(name: string): Promise<void> {
    this.#model(name);
    this.#unloaded.add(name);
  }

  #model(name: string, version = ''): FakeModel {
    const found = MODELS.get(name);
    if (!found || (version !== '' && version !== '1')) {
      throw new InferenceError('not-found', `'${name}' version ${version || 'any'} is not found`);
    }
    if (this.#unloaded.has(name)) throw new InferenceError('unavailable', `model "${name}" is not loaded`);
    return found;
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new InferenceError('cancelled', 'nobody waits')));
      this.waiting.push({ signal, release: resolve });
    });
  }
}

const BATCH: readonly number[] = [-1, 16];

function sums(datatype: Datatype, shape = BATCH): Omit<FakeModel, 'run'> {
  const tensors = (names: string[]) => names.map((name) => ({ name, datatype, shape }));
  return { inputs: tensors(['INPUT0', 'INPUT1']), outputs: tensors(['OUTPUT0', 'OUTPUT1']), maxBatchSize: 8 };
}

function numbers({ data }: Tensor): Int32Array {
  return elements('INT32', data as Uint8Array) as Int32Array;
}

function texts({ data }: Tensor): number[] {
  return (data as readonly Uint8Array[]).map((each) => Number(Buffer.from(each).toString()));
}

const echo = (datatype: Datatype, shape: readonly number[] = [-1]): FakeModel => ({
  inputs: [{ name: 'x', datatype, shape }],
  outputs: [{ name: 'y', datatype, shape }],
  maxBatchSize: 0,
  run: (inputs) => inputs.filter(({ name }) => name === 'x').map((x) => ({ ...x, name: 'y' })),
});

/** The names of the first two classes of an output. */
const LABELS = new Map([['OUTPUT1', ['first', 'second']]]);

const MODELS: ReadonlyMap<string, FakeModel> = new Map<string, FakeModel>([
  [
    'simple',
    {
      ...sums('INT32'),
      run([a, b]) {
        const [left, right] = [numbers(a as Tensor), numbers(b as Tensor)];
        const { shape, datatype } = a as Tensor;
        const output = (name: string, sign: number): Tensor => ({
          name,
          shape,
          datatype,
          data: new Uint8Array(left.map((each, at) => each + sign * (right[at] ?? 0)).buffer),
        });
        return [output('OUTPUT0', 1), output('OUTPUT1', -1)];
      },
    },
  ],
  [
    'simple_string',
    {
      ...sums('BYTES'),
      run([a, b]) {
        const [left, right] = [texts(a as Tensor), texts(b as Tensor)];
        const { shape, datatype } = a as Tensor;
        const output = (name: string, sign: number): Tensor => ({
          name,
          shape,
          datatype,
          data: left.map((each, at) => Buffer.from(`${each + sign * (right[at] ?? 0)}`)),
        });
        return [output('OUTPUT0', 1), output('OUTPUT1', -1)];
      },
    },
  ],
  [
    'simple_identity',
    {
      inputs: [{ name: 'INPUT0', datatype: 'BYTES', shape: BATCH }],
      outputs: [{ name: 'OUTPUT0', datatype: 'BYTES', shape: BATCH }],
      maxBatchSize: 8,
      run: (inputs) => inputs.map((each) => ({ ...each, name: 'OUTPUT0' })),
    },
  ],
  ['slow', { ...echo('INT32') }],
  ['one-text', { ...echo('BYTES', [1]) }],
  ['picture', { ...echo('FP32', [1, 3, -1]) }],
  ...DATATYPES.map((each): [string, FakeModel] => [`echo-${each}`, echo(each)]),
]);
