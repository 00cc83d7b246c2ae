import type { Resource } from './costs.js';

/** A step of a graph: one model, which runs when its predecessors are done. */
export interface ScheduledStep {
  readonly model: string;
  /** The indices of the steps whose outputs it uses. All are lower than its own index. */
  readonly after: readonly number[];
  /** The step runs once for each element of that step's output. Default: once for each item of the request. */
  readonly each?: number;
  /** Nothing of its output stays on the lane for the steps that follow. */
  readonly leaves?: boolean;
}

/** The steps of a graph, each after those that it depends on. A model by itself is a graph of one step. */
export interface ScheduledGraph {
  readonly name: string;
  readonly steps: readonly ScheduledStep[];
}

export interface ScheduledRequest {
  readonly id: number;
  readonly graph: ScheduledGraph;
  /** The number of items: the first dimension of its inputs. */
  readonly items: number;
  /** The request's weight, a number above 0. Of one model's tasks the heaviest go first. */
  readonly weight?: number;
  /** The deadline, on the clock of all times here. */
  readonly deadline?: number;
  /**
   * What a step turns out to be, once the steps are done that it depends on: its model, where that depends on the shape
   * of what it takes, and how many items it has; or why it cannot run, which fails the request. Without it the graph and
   * the elements say so. It may call `setModel`.
   */
  taskOf?(step: number): { readonly model: string; readonly items: number } | { readonly reason: string };
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
  /** Bytes that it is expected to take beyond the weights. */
  readonly memory: number;
  readonly slices: readonly Slice[];
  /** The model's file has to be loaded onto the lane first. */
  readonly load: boolean;
}

/** Why a request is refused: it can never fit, too many wait, or a model that it needs is not served. */
export type Refusal = 'too-large' | 'too-many' | 'no-model';

/** What became of a request. Each request ends once. */
export type Outcome =
  | { readonly is: 'done' }
  | { readonly is: 'refused'; readonly why: Refusal; readonly reason: string }
  | { readonly is: 'failed'; readonly reason: string }
  | { readonly is: 'expired'; readonly reason: string };

export type Decision =
  /** The lane is to unload the file. It comes before the start that needs the memory. */
  | { readonly kind: 'unload'; readonly lane: string; readonly file: string }
  | { readonly kind: 'start'; readonly run: Run }
  /** Drop the request's outputs; the request begins again. */
  | { readonly kind: 'restart'; readonly request: number }
  | { readonly kind: 'end'; readonly request: number; readonly outcome: Outcome };

/** A worker that runs one batch at a time. */
export interface LaneOptions {
  readonly resource: Resource;
  /** The GPU host that it runs on. */
  readonly host: string;
}

/** A host's memory for this scheduler's lanes, in bytes. */
export interface Capacity {
  /** The bytes that its lanes may use now. */
  readonly bytes: number;
  /** The bytes that its lanes can ever use. A request that needs more is refused. */
  readonly limit: number;
}
