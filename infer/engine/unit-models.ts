import type { LoadReport, RunReport } from '../lanes/lane.js';
import { Learned } from '../learned/learned.js';
import { type ModelCosts, runTime } from '../schedule/costs.js';
import type { EngineScheduler } from '../schedule/scheduler.js';
import { InferenceError } from '../service/service.js';
import { ELEMENT_BYTES, elementsOf } from '../service/tensor.js';
import type { StepTask } from './request/request.js';
import type { Unit } from './request/unit.js';

/** The most shapes of a unit's items that the scheduler knows at once. */
const MOST_SHAPES = 64;
/** A first run is guessed to take so many times its inputs. Runs of several models took 18 to 35 times as much. */
const GUESSED_MULTIPLE = 64;
const LEAST_GUESS = 1 << 20;

/** Items of one shape: a model to the scheduler. */
interface Shape {
  readonly key: string;
  readonly learned: Learned;
  /** Bytes of a run of one item, before any has run. */
  readonly guess: number;
  /** Tasks that are of it. */
  users: number;
}

/** A unit, as the scheduler knows it: a model for each shape of its items. All these models share the unit's file. */
export class UnitModels {
  readonly unit: Unit;
  readonly #scheduler: EngineScheduler;
  /** Learned earlier, by shape: read from disk, or of shapes that the scheduler has forgotten. */
  readonly #kept: Map<string, Learned>;
  readonly #largest: () => number;
  /** The last used one comes last. */
  readonly #shapes = new Map<string, Shape>();
  /** Stands for requests whose shape is not known yet: the shape of the last run. */
  #usual: Pick<Shape, 'learned' | 'guess'> = { learned: new Learned(), guess: LEAST_GUESS };
  #weights: number;
  #loadMs = 0;
  #isRemoved = false;

  /** `kept`: figures of the unit that were learned earlier, by shape. `largest`: the memory of the largest host. */
  constructor(
    unit: Unit,
    scheduler: EngineScheduler,
    { kept, bytes, largest }: { kept: ReadonlyMap<string, Learned>; bytes: number; largest: () => number },
  ) {
    this.unit = unit;
    this.#scheduler = scheduler;
    this.#kept = new Map(kept);
    this.#largest = largest;
    // Until a model is loaded, assume that its weights are as large as its file.
    this.#weights = unit.isFunction ? 0 : bytes;
    this.#tell(unit.key, this.#usual.learned, this.#usual.guess);
  }

  get weights(): number {
    return this.#weights;
  }

  /** How many items wait for it, of all shapes. */
  get waiting(): number {
    let waiting = 0;
    for (const key of this.#keys) waiting += this.#scheduler.waitingFor(key);
    return waiting;
  }

  /** Whether anything is known of how its items run. */
  get hasRun(): boolean {
    return this.#kept.size > 0 || [...this.#shapes.values()].some(({ learned }) => learned.hasRun);
  }

  /** All that was learned, by shape. The least recently used shape comes first. */
  get learned(): Map<string, Learned> {
    const all = new Map(this.#kept);
    for (const [shape, { learned }] of this.#shapes) {
      all.delete(shape);
      all.set(shape, learned);
    }
    return all;
  }

  /**
   * The scheduler's name for what a task runs. The task has it until `release`.
   * @throws InferenceError where too many shapes are in use, or the unit was removed
   */
  use(task: StepTask): string {
    // A request of it may begin again, because a lane with its values was lost.
    if (this.#isRemoved) throw new InferenceError('unavailable', `${this.unit.title} was unloaded.`);
    const { shape: name } = task;
    let shape = this.#shapes.get(name);
    if (shape) this.#shapes.delete(name);
    else {
      this.#forgetOne();
      const { guess, learned } = this.#expect(task);
      shape = { key: this.#keyOf(name), learned, guess, users: 0 };
      this.#tell(shape.key, learned, guess);
    }
    this.#shapes.set(name, shape);
    shape.users += 1;
    return shape.key;
  }

  release({ shape: name }: StepTask): void {
    const shape = this.#shapes.get(name);
    if (shape) shape.users -= 1;
  }

  /** A lane has loaded the file. */
  loaded({ weights, ms }: LoadReport): void {
    this.#weights = weights;
    this.#loadMs = ms;
    this.tell();
  }

  /** A run has ended well. `keptBytes`: the bytes of its outputs that stayed on the lane. */
  ran(name: string, batch: number, report: RunReport, isFirst: boolean, keptBytes: number): void {
    const shape = this.#shapes.get(name);
    if (!shape) return;
    const { learned } = shape;
    learned.ran(batch, report.peak);
    learned.kept(keptBytes / batch);
    if (report.gpu) {
      void report.gpu.then((gpu) => {
        learned.took(batch, report, gpu, isFirst);
        // The scheduler may have forgotten the shape since.
        if (this.#shapes.get(name) === shape) this.#tellRun(shape);
      });
    } else learned.took(batch, report, undefined, isFirst);
    this.#tellRun(shape);
  }

  outOfMemory(name: string, batch: number, free: number): void {
    const shape = this.#shapes.get(name);
    if (!shape) return;
    shape.learned.outOfMemory(batch, free);
    this.#tell(shape.key, shape.learned, shape.guess);
  }

  /** The expected memory and time of a run of a shape. */
  expected(name: string, batch: number): { bytes: number; ms: number } | undefined {
    return this.#shapes.get(name)?.learned.expected(batch);
  }

  /** How long the GPU is expected to work for a run of a shape; undefined before any run has told it. */
  gpuMs(name: string, batch: number): number | undefined {
    return this.#shapes.get(name)?.learned.gpuMs(batch);
  }

  /** The scheduler knows the unit no more: requests that still need it are refused. */
  remove(): void {
    this.#isRemoved = true;
    for (const key of this.#keys) this.#scheduler.removeModel(key);
    this.#shapes.clear();
  }

  /** All its names for the scheduler. */
  get #keys(): Set<string> {
    return new Set([this.unit.key, ...[...this.#shapes.values()].map(({ key }) => key)]);
  }

  #keyOf(shape: string): string {
    return shape === '' ? this.unit.key : `${this.unit.key} ${shape}`;
  }

  #forgetOne(): void {
    if (this.#shapes.size < MOST_SHAPES) return;
    for (const [name, { users, key, learned }] of this.#shapes) {
      if (users > 0) continue;
      this.#kept.set(name, learned);
      const [oldest] = this.#kept.keys();
      if (this.#kept.size > MOST_SHAPES && oldest !== undefined) this.#kept.delete(oldest);
      if (key !== this.unit.key) this.#scheduler.removeModel(key);
      this.#shapes.delete(name);
      return;
    }
    throw new InferenceError(
      'overloaded',
      `Requests with ${MOST_SHAPES} unlike shapes wait for ${this.unit.title} already; try again later.`,
      { retryAfter: 1 },
    );
  }

  /** Estimates the runs of a shape that has not run here yet. */
  #expect({ shape, shapes }: StepTask): { learned: Learned; guess: number } {
    let bytes = 0;
    for (const { name, datatype } of this.unit.inputs) {
      bytes += elementsOf(shapes.get(name) ?? []) * (ELEMENT_BYTES[datatype] ?? 1);
    }
    const guess = Math.max(LEAST_GUESS, GUESSED_MULTIPLE * bytes);
    const kept = this.#kept.get(shape);
    if (kept) return { learned: kept, guess };
    // The last one that has run is the best known.
    const [like] = [...this.#shapes].reverse().filter(([, { learned }]) => learned.hasRun);
    if (!like) return { learned: new Learned(), guess };
    const [name, { learned }] = like;
    return { learned: learned.scaled(sizeOf(shape) / sizeOf(name)), guess };
  }

  /** Tells the scheduler all costs. A guess depends on the memory of the largest host. */
  tell(): void {
    for (const { key, learned, guess } of this.#shapes.values()) this.#tell(key, learned, guess);
    if (!this.unit.isFixed) this.#tell(this.unit.key, this.#usual.learned, this.#usual.guess);
  }

  /** Tells what a run of a shape has taught. */
  #tellRun(shape: Shape): void {
    this.#tell(shape.key, shape.learned, shape.guess);
    if (shape.key === this.unit.key) return;
    this.#usual = shape;
    this.#tell(this.unit.key, shape.learned, shape.guess);
  }

  #tell(key: string, learned: Learned, guess: number): void {
    // A lane may still load or run it. Told of it, the scheduler would know it again, and nobody would remove it.
    if (this.#isRemoved) return;
    const { unit } = this;
    const costs: ModelCosts = {
      resource: unit.resource,
      file: unit.key,
      weights: this.#weights,
      load: this.#loadMs,
      // A guess alone refuses no request.
      ...learned.costs({
        maxBatch: unit.maxBatch,
        guess: Math.max(0, Math.min(guess, this.#largest() - this.#weights)),
        output: leastOutput(unit),
      }),
    };
    const here = { gpu: NONE, memory: NONE, wait: runTime(costs), weights: 0, output: 0 };
    this.#scheduler.setModel(key, unit.isOnGpu ? costs : { ...costs, ...here });
  }
}

const NONE = { base: 0, perItem: 0 };

/** Bytes of an item's outputs, with free dimensions of length 1: the scheduler has to know that there are some. */
function leastOutput({ outputs, batches }: Unit): number {
  return outputs.reduce((sum, { shape, datatype }) => {
    const ofItem = (batches ? shape.slice(1) : shape).map((length) => Math.max(1, length));
    return sum + elementsOf(ofItem) * (ELEMENT_BYTES[datatype] ?? 1);
  }, 0);
}

/** The elements of a shape's free dimensions, as its name says them: `x:3x48x320 y:5`. */
function sizeOf(shape: string): number {
  const sizes = shape.split(' ').map((part) => {
    const lengths = part.slice(part.lastIndexOf(':') + 1);
    return lengths === '' ? 1 : lengths.split('x').reduce((product, length) => product * Number(length), 1);
  });
  return Math.max(1, ...sizes);
}
