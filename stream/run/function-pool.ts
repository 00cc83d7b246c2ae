import { availableParallelism } from 'node:os';
import { openFunctionLane } from '../../infer/lanes/functions/function-lane.js';
import type { Lane } from '../../infer/lanes/lane.js';
import { rowsOf, type Tensor } from '../../infer/service/tensor.js';
import { deferred } from '../../link/machine/deferred.js';
import type { FunctionDefinition } from '../definition/definition.js';

/** Functions that mostly wait: more of them than cores. */
const WAITING_LANES = 8;

interface Place {
  readonly lane: Lane;
  /** The functions that it has loaded. */
  readonly loaded: Set<string>;
}

/** Runs functions in threads of this machine, each thread one at a time. Calls that find no free thread wait. */
export class FunctionPool {
  readonly #free: Place[] = [];
  readonly #all: Lane[] = [];
  readonly #waiting: ((place: Place) => void)[] = [];
  readonly #name: string;
  readonly #most: number;

  constructor(resource: 'cpu' | 'network') {
    this.#name = resource === 'cpu' ? 'functions' : 'waiting functions';
    this.#most = resource === 'cpu' ? Math.max(1, availableParallelism()) : WAITING_LANES;
  }

  /** @throws RunError that says why its module or its export cannot be had (rejects) */
  async check(definition: FunctionDefinition): Promise<void> {
    await this.#with(definition, async () => {});
  }

  /** @throws RunError where the function fails (rejects) */
  run(
    definition: FunctionDefinition,
    inputs: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, Tensor>>> {
    return this.#with(definition, async (lane) => {
      const given = Object.entries(inputs).map(([name, value]) => {
        const count = rowsOf(value.shape);
        return [name, [{ value: { ...value, name }, from: 0, count }]] as const;
      });
      const report = await lane.run({
        model: idOf(definition),
        inputs: Object.fromEntries(given),
        parts: [1],
        keep: [],
        fetch: outputs,
      });
      return Object.fromEntries(outputs.map((name) => [name, report.outputs[name]?.[0] as Tensor]));
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((lane) => lane.close()));
  }

  async #with<T>(definition: FunctionDefinition, act: (lane: Lane) => Promise<T>): Promise<T> {
    const place = await this.#take();
    try {
      const id = idOf(definition);
      if (!place.loaded.has(id)) {
        await place.lane.load({ id, file: definition.file, function: definition.name });
        place.loaded.add(id);
      }
      return await act(place.lane);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(place);
      else this.#free.push(place);
    }
  }

  async #take(): Promise<Place> {
    const free = this.#free.pop();
    if (free) return free;
    if (this.#all.length < this.#most) {
      const lane = await openFunctionLane({ name: `${this.#name} ${this.#all.length + 1}` });
      this.#all.push(lane);
      return { lane, loaded: new Set() };
    }
    const { promise, resolve } = deferred<Place>();
    this.#waiting.push(resolve);
    return promise;
  }
}

/** Copies of a module have names of their own, so a file is one module for good. */
function idOf({ file, name }: FunctionDefinition): string {
  return `${file}#${name}`;
}
