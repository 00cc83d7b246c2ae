import type { ModelCosts } from './costs.js';
import { Expectation } from './expectation.js';
import type { Portion } from './progress.js';
import { TaskQueue } from './task-queue.js';

/** Items of a run that failed, or whose lane was lost. They run again together, without others. */
export interface Retry {
  readonly portions: readonly Portion[];
  readonly items: number;
  /** How often the lane of its items was lost. */
  readonly losses: number;
  /** It is to run on a host where nothing else runs. */
  readonly alone: boolean;
}

/** A model that is served, and what waits for it. */
export class ModelState {
  readonly name: string;
  costs: ModelCosts;
  /** The largest batch: the model's own, or half of one that was out of memory. */
  maxBatch: number;
  readonly queue: TaskQueue = new TaskQueue();
  /** The first one goes next, before the queue. */
  readonly retries: Retry[] = [];
  readonly arrivals: Expectation = new Expectation();
  /** Since when the items that wait are held back for a fuller batch. */
  heldSince: number | undefined;

  constructor(name: string, costs: ModelCosts) {
    this.name = name;
    this.costs = costs;
    this.maxBatch = costs.maxBatch;
  }

  /** How many items wait. */
  get waiting(): number {
    return this.retries.reduce((sum, { items }) => sum + items, this.queue.items);
  }
}
