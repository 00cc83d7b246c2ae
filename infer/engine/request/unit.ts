import type { Labels } from '../../graph/model-folder.js';
import type { LaneModel } from '../../lanes/lane.js';
import type { Resource } from '../../schedule/costs.js';
import type { TensorDeclaration } from '../../service/tensor.js';
import { Statistics } from './statistics.js';

/** The most items of one run where the model's `config.yaml` names no number. */
const MOST_ITEMS = 1024;

/** A version of a model, or a function: a lane loads it, and a step runs it. Read again, it is another unit. */
export class Unit {
  /** Its name for the scheduler and the lanes. No two units have the same. */
  readonly key: string;
  /** Its name for people. */
  readonly title: string;
  readonly resource: Resource;
  readonly file: Omit<LaneModel, 'id'>;
  /** By output, the names of its classes. */
  readonly labels: Labels;
  readonly #maxBatch: number | undefined;
  #inputs: readonly TensorDeclaration[] = [];
  #outputs: readonly TensorDeclaration[] = [];
  #version: string | undefined;
  #batches = false;
  readonly statistics: Statistics = new Statistics();
  /** Requests that may still run it. */
  users = 0;

  constructor(
    key: string,
    title: string,
    resource: Resource,
    file: Omit<LaneModel, 'id'>,
    maxBatch: number | undefined,
    labels: Labels = new Map(),
  ) {
    this.key = key;
    this.title = title;
    this.resource = resource;
    this.file = file;
    this.labels = labels;
    this.#maxBatch = maxBatch;
  }

  /** Takes the declarations of the file, once it was loaded, and which file it was. A function declares nothing. */
  declare(
    inputs: readonly TensorDeclaration[],
    outputs: readonly TensorDeclaration[],
    version: string,
  ): void {
    this.#version = version;
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.#batches =
      this.#maxBatch !== 0 &&
      [...inputs, ...outputs].every(({ shape }) => shape[0] === -1) &&
      inputs.length > 0;
  }

  get isFunction(): boolean {
    return this.file.function !== undefined;
  }

  /** Whether its values may stay on a lane, where the next model takes them. */
  get isOnGpu(): boolean {
    return this.resource === 'gpu';
  }

  /** Says which file was loaded first; undefined before. */
  get version(): string | undefined {
    return this.#version;
  }

  get inputs(): readonly TensorDeclaration[] {
    return this.#inputs;
  }

  get outputs(): readonly TensorDeclaration[] {
    return this.#outputs;
  }

  /** Whether the entries of the first dimension are items, which run together with the items of other requests. */
  get batches(): boolean {
    return this.#batches;
  }

  get maxBatch(): number {
    return this.#batches ? (this.#maxBatch ?? MOST_ITEMS) : 1;
  }

  /** Whether its items have one shape only. */
  get isFixed(): boolean {
    return this.#inputs.every(({ shape }) => !shape.slice(this.#batches ? 1 : 0).includes(-1));
  }

  /**
   * Names the shape of its items, by the dimensions that are free: items of unlike shape cannot run together. Empty where
   * none is free.
   */
  shapeOf(shapes: ReadonlyMap<string, readonly number[]>): string {
    const parts: string[] = [];
    for (const { name, shape } of this.#inputs) {
      const from = this.#batches ? 1 : 0;
      if (!shape.slice(from).includes(-1)) continue;
      parts.push(`${name}:${(shapes.get(name) ?? []).slice(from).join('x')}`);
    }
    return parts.join(' ');
  }
}
