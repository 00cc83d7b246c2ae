import type { ModelCosts } from './costs.js';
import { FairQueue } from './requests/fair-queue.js';
import type { Portion } from './requests/progress.js';

/**
 * Items of a failed run, or of a run whose lane was lost. They run again together, without other items. So do the items of a
 * request that wants it so.
 */
export interface Retry {
  readonly portions: readonly Portion[];
  readonly items: number;
  /** How often the lane of its items was lost. */
  readonly losses: number;
  /** Whether it needs a host where nothing else runs. */
  readonly alone: boolean;
}

/** The file that a lane loads for a model. Models that differ only in the shape of their items share it. */
export interface ModelFile {
  readonly name: string;
  weights: number;
  load: number;
  /** How many models are served from it. */
  models: number;
}

/** The weight of the newest gap between arrivals in the mean. */
const NEWEST = 1 / 4;

/** Predicts the next arrival of a model's items from the last arrivals. */
class Expectation {
  #last: number | undefined;
  #gap: number | undefined;

  arrived(now: number): void {
    const gap = this.#last === undefined ? undefined : now - this.#last;
    this.#last = now;
    if (gap === undefined) return;
    this.#gap = this.#gap === undefined ? gap : this.#gap + (gap - this.#gap) * NEWEST;
  }

  /** When the next item is due; undefined if this is unknown, or if the item is late. */
  next(now: number): number | undefined {
    if (this.#last === undefined || this.#gap === undefined) return undefined;
    const next = this.#last + this.#gap;
    return next > now ? next : undefined;
  }
}

/** A model that is served, and the items that wait for it. */
export class ModelState {
  readonly name: string;
  readonly file: ModelFile;
  costs: ModelCosts;
  /** The largest batch: the model's own limit, or half of a batch that was out of memory. */
  maxBatch: number;
  readonly queue: FairQueue = new FairQueue(() => this.costs);
  /** The first entry goes next, before the queue. */
  readonly retries: Retry[] = [];
  readonly arrivals: Expectation = new Expectation();
  /** Since when the scheduler has delayed the waiting items, to get a fuller batch. */
  heldSince: number | undefined;
  /** Since when a lane is free for the waiting items, and their run waits for more of them or for the GPU. */
  gatheredFrom: number | undefined;

  constructor(name: string, file: ModelFile, costs: ModelCosts) {
    this.name = name;
    this.file = file;
    this.costs = costs;
    this.maxBatch = costs.maxBatch;
  }

  /** How many items wait. */
  get waiting(): number {
    return this.retries.reduce((sum, { items }) => sum + items, this.queue.items);
  }
}
