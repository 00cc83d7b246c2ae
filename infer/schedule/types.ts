import type { Resource } from './costs.js';

/** A step of a graph: one model, which runs when its predecessors are done. */
export interface ScheduledStep {
  readonly model: string;
  /** The indices of the steps whose outputs it uses. All are lower than its own index. */
  readonly after: readonly number[];
  /** The step runs once for each element of that step's output. Default: once for each item of the request. */
  readonly each?: number;
  /** Whether its output leaves the lane at once. Default: it stays there for the following steps. */
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
  /** The request's tenant. Tenants share the lanes' time. */
  readonly tenant?: string;
  /** The tenant's weight among tenants, a number above 0. Default 1. */
  readonly share?: number;
  /** The request's weight, a number above 0. Of one model's tasks of one tenant the heaviest go first. */
  readonly weight?: number;
  /** The deadline, on the clock of all times here. */
  readonly deadline?: number;
  /** Whether its items run in one batch, with no others, if memory has room for them. */
  readonly together?: boolean;
  /**
   * Called when the predecessors of a step are done. Returns the step's model, which may depend on the shape of the
   * inputs, and the number of items. Returns a reason if the step cannot run; then the request fails. The function may
   * call `setModel`. Default: the graph's model, and as many items as the elements say.
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
  /** The expected bytes of the run, without the weights. */
  readonly memory: number;
  readonly slices: readonly Slice[];
  /** Whether the model's file must first be loaded onto the lane. */
  readonly load: boolean;
  /** Since when the run could have begun, and waited for more items or for the GPU; undefined if it did not wait. */
  readonly gatheredFrom: number | undefined;
}

/** Why a request is refused: it can never fit, too many requests wait, or one of its models is not served. */
export type Refusal = 'too-large' | 'too-many' | 'no-model';

/** How a request ended. Each request ends once. */
export type Outcome =
  | { readonly is: 'done' }
  | { readonly is: 'refused'; readonly why: Refusal; readonly reason: string }
  | { readonly is: 'failed'; readonly reason: string }
  | { readonly is: 'expired'; readonly reason: string };

export type Decision =
  /** Unload the file from the lane. This comes before the start that needs the memory. */
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
