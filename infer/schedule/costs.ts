/** A figure of a run as a function of its batch: `base + perItem * batch`. */
export interface Affine {
  base: number;
  perItem: number;
}

/** The kind of worker that a model or a function runs on. `shards` runs models that lie over several hosts. */
export const RESOURCES = ['gpu', 'cpu', 'network', 'shards'] as const;
export type Resource = (typeof RESOURCES)[number];

/** The costs of a model for a lane and its host, in bytes and milliseconds. A graph's function is a model without memory. */
export interface ModelCosts {
  readonly resource: Resource;
  /** The file that a lane loads for it. Models that differ only in the shape of their items share it. Default: its name. */
  readonly file?: string;
  /** The most items of one run. */
  readonly maxBatch: number;
  /** Bytes of the model on a lane where it is loaded. */
  readonly weights: number;
  /** The peak bytes of a run, with its inputs and outputs and without the weights. */
  readonly memory: Affine;
  /** Bytes of each item's output that stay on the lane until the steps that follow have run. */
  readonly output: number;
  /** The GPU time of a run. Runs of one host use the GPU one after the other. */
  readonly gpu: Affine;
  /** The rest of a run's time: round trips and work of the processor. Runs of other lanes overlap with it. */
  readonly wait: Affine;
  /** The time that loading the model onto a lane takes. */
  readonly load: number;
}

export function at({ base, perItem }: Affine, batch: number): number {
  return base + perItem * batch;
}

/** The time of a run alone, without loading. */
export function runTime({ gpu, wait }: Pick<ModelCosts, 'gpu' | 'wait'>): Affine {
  return { base: gpu.base + wait.base, perItem: gpu.perItem + wait.perItem };
}

/** The largest batch whose figure is at most `limit`; 0 if even one item is above it. */
export function largestWithin({ base, perItem }: Affine, limit: number, maxBatch: number): number {
  if (base + perItem > limit) return 0;
  if (perItem <= 0) return maxBatch;
  const largest = Math.min(maxBatch, Math.floor((limit - base) / perItem));
  // The division may round up.
  return base + perItem * largest > limit ? largest - 1 : largest;
}
