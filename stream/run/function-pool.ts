import { availableParallelism } from 'node:os';
import { FunctionLane } from '../../infer/lanes/functions/function-lane.js';
import { type LaneRun, RunError, type RunReport } from '../../infer/lanes/lane.js';
import { rowsOf, type Tensor } from '../../infer/service/tensor.js';
import type { FunctionDefinition } from '../definition/definition.js';

/** Functions that mostly wait: more of them than cores. */
const WAITING_LANES = 8;
/** The most calls of one message to a thread, and how long they may take together, in milliseconds. */
const MOST_CALLS = 16;
const MOST_MS = 1;
/** How much the last calls of a function count in the mean of its time. */
const NEWEST = 0.25;

type Outputs = Readonly<Record<string, Tensor>>;

interface Call {
  readonly definition: FunctionDefinition;
  /** Left out: the function is only loaded. */
  readonly run?: Omit<LaneRun, 'model'>;
  resolve(outputs: Outputs): void;
  reject(error: unknown): void;
}

interface Place {
  readonly lane: FunctionLane;
  /** The functions that it has loaded. */
  readonly loaded: Set<string>;
}

/**
 * Runs functions in threads of this machine, each thread one at a time. Calls that find no free thread wait. A thread gets
 * several of these at once where their function is quick: a message to a thread takes longer than such a function.
 */
export class FunctionPool {
  readonly #free: Place[] = [];
  readonly #all: FunctionLane[] = [];
  readonly #waiting: Call[] = [];
  /** The mean time of a call, in milliseconds, by function. */
  readonly #times = new Map<string, number>();
  readonly #name: string;
  readonly #most: number;

  constructor(resource: 'cpu' | 'network') {
    this.#name = resource === 'cpu' ? 'functions' : 'waiting functions';
    this.#most = resource === 'cpu' ? Math.max(1, availableParallelism()) : WAITING_LANES;
  }

  /** @throws RunError that says why its module or its export cannot be had (rejects) */
  async check(definition: FunctionDefinition): Promise<void> {
    await this.#call(definition);
  }

  /** @throws RunError where the function fails (rejects) */
  run(
    definition: FunctionDefinition,
    inputs: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
  ): Promise<Outputs> {
    const given = Object.entries(inputs).map(([name, value]) => {
      const count = rowsOf(value.shape);
      return [name, [{ value: { ...value, name }, from: 0, count }]] as const;
    });
    const run = { inputs: Object.fromEntries(given), parts: [1], keep: [], fetch: outputs };
    return this.#call(definition, run);
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((lane) => lane.close()));
  }

  #call(definition: FunctionDefinition, run?: Call['run']): Promise<Outputs> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ definition, resolve, reject, ...(run && { run }) });
      const place = this.#free.pop() ?? this.#another();
      if (place) void this.#work(place);
    });
  }

  #another(): Place | undefined {
    if (this.#all.length >= this.#most) return undefined;
    const lane = new FunctionLane({ name: `${this.#name} ${this.#all.length + 1}` });
    this.#all.push(lane);
    return { lane, loaded: new Set() };
  }

  /** Runs calls in a free thread until none waits. It never rejects: each call has its own error. */
  async #work(place: Place): Promise<void> {
    for (let calls = this.#take(); calls.length > 0; calls = this.#take()) {
      try {
        await this.#runAll(place, calls);
      } catch (error) {
        // One of several is at fault, and which one is not known.
        if (calls.length === 1) calls[0]?.reject(error);
        else for (const call of calls) await this.#runAll(place, [call]).catch(call.reject);
      }
    }
    this.#free.push(place);
  }

  /** The next calls, of one function. */
  #take(): Call[] {
    const [first] = this.#waiting;
    if (!first) return [];
    const id = idOf(first.definition);
    const most = first.run ? Math.min(MOST_CALLS, MOST_MS / (this.#times.get(id) ?? MOST_MS)) : 1;
    let count = 1;
    for (; count + 1 <= most; count += 1) {
      const next = this.#waiting[count];
      if (!next?.run || idOf(next.definition) !== id) break;
    }
    return this.#waiting.splice(0, count);
  }

  /** @throws RunError or LaneLostError where no call has an answer (rejects) */
  async #runAll({ lane, loaded }: Place, calls: readonly Call[]): Promise<void> {
    const [{ definition, resolve: loadedOnly }] = calls as [Call];
    const id = idOf(definition);
    if (!loaded.has(id)) {
      await lane.load({ id, file: definition.file, function: definition.name });
      loaded.add(id);
    }
    const runs = calls.flatMap(({ run }) => (run ? [{ ...run, model: id }] : []));
    // A call that only loads comes alone.
    if (runs.length === 0) return loadedOnly({});
    const { reports, ms } = await lane.runAll(runs);
    this.#learn(id, ms / runs.length);
    for (const [index, { resolve, reject }] of calls.entries()) {
      const report = reports[index] as RunReport | RunError;
      if (report instanceof RunError) reject(report);
      else resolve(outputsIn(report));
    }
  }

  #learn(id: string, ms: number): void {
    const mean = this.#times.get(id) ?? ms;
    this.#times.set(id, mean + NEWEST * (ms - mean));
  }
}

/** Each output has one part, which is a tensor: a lane for functions keeps none. */
function outputsIn({ outputs }: RunReport): Outputs {
  return Object.fromEntries(Object.entries(outputs).map(([name, [value]]) => [name, value as Tensor]));
}

/** Copies of a module have names of their own, so a file is one module for good. */
function idOf({ file, name }: FunctionDefinition): string {
  return `${file}#${name}`;
}
