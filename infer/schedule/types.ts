import type { Resource } from './costs.js';

/** A step of a graph: one model, run once its predecessors are done. */
export interface ScheduledStep {
  readonly model: string;
  /** The steps whose outputs it takes, by their index; all of them are lower than its own. */
  readonly after: readonly number[];
  /** The step runs once for each element of this step's output; elsewhere once for each item of the request. */
  readonly each?: number;
}

/** The steps of a graph, each after those that it depends on. A model by itself is a graph of one step. */
export interface ScheduledGraph {
  readonly name: string;
  readonly steps: readonly ScheduledStep[];
}

export interface ScheduledRequest {
  readonly id: number;
  readonly graph: ScheduledGraph;
  /** How many items it brings: the first dimension of its inputs. */
  readonly items: number;
  /** What it counts beside others, a number above 0; of one model's tasks the heaviest go first. */
  readonly weight?: number;
  /** When it is of no use any more, on the clock of all times here. */
  readonly deadline?: number;
}

/** Some consecutive items of a task. */
export interface Slice {
  readonly request: number;
  readonly step: number;
  readonly from: number;
  readonly count: number;
}

/** One run of a model on a lane. */
export interface Run {
  readonly id: number;
  readonly model: string;
  readonly lane: string;
  readonly batch: number;
  readonly slices: readonly Slice[];
  /** The model has to be loaded onto the lane first. */
  readonly load: boolean;
}

/** What became of a request. Each request ends once. */
export type Outcome =
  | { readonly is: 'done' }
  | { readonly is: 'failed' | 'refused' | 'expired'; readonly reason: string };

export type Decision =
  /** The lane is to give back the model's memory. It comes before the start that needs the memory. */
  | { readonly kind: 'unload'; readonly lane: string; readonly model: string }
  | { readonly kind: 'start'; readonly run: Run }
  /** The request's outputs so far are to be dropped; it begins again. */
  | { readonly kind: 'restart'; readonly request: number }
  | { readonly kind: 'end'; readonly request: number; readonly outcome: Outcome };

/** A worker that runs one thing at a time. */
export interface LaneOptions {
  readonly resource: Resource;
  /** The GPU host that it runs on. */
  readonly host: string;
}

/** A host's memory for this scheduler's lanes, in bytes. */
export interface Capacity {
  /** What its lanes may have now. */
  readonly bytes: number;
  /** The most that they could ever have; a request that needs more is refused. */
  readonly limit: number;
}
