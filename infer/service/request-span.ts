/**
 * The parts of a request's time:
 * - `receive`: its message is read.
 * - `queue`: it waits for a lane, or for memory.
 * - `batch`: a lane is free, and the request waits for more items, or for the GPU, which is busy with other runs.
 * - `load`: its model is loaded onto the lane.
 * - `move`: its values are brought to the lane or back, and its lane does what a run needs beside the GPU.
 * - `gpu`: its batch runs on the GPU. Where a lane cannot tell how long the GPU works, the way to it and back counts too.
 * - `function`: a function of its graph runs.
 * - `answer`: the answer is made and sent.
 */
export const PARTS = ['receive', 'queue', 'batch', 'load', 'move', 'gpu', 'function', 'answer'] as const;

export type Part = (typeof PARTS)[number];

/** A stretch of one request's time, in milliseconds of the process's steady clock. Stretches of one request may overlap. */
export interface RequestSpan {
  readonly part: Part;
  readonly from: number;
  readonly to: number;
  /** The model or the function. */
  readonly what?: string;
  /** The run that had the request's items. */
  readonly run?: RunOfRequest;
  /** Why the run failed. */
  readonly failed?: string;
}

export interface RunOfRequest {
  /** Unlike that of any other run of this service. */
  readonly id: number;
  readonly lane: string;
  /** Items of the whole run, and items of this request. */
  readonly batch: number;
  readonly items: number;
}
