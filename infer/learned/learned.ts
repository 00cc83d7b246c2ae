import type { GpuTime } from '../lanes/gpu/gpu-times.js';
import type { RunReport } from '../lanes/lane.js';
import { type Affine, at, type ModelCosts, runTime } from '../schedule/costs.js';
import { type Peak, Peaks } from './peaks.js';
import { Times } from './times.js';

/** A `Learned`, as it is kept on disk. */
export interface LearnedRecord {
  readonly peaks: readonly Peak[];
  readonly gpu: readonly Mean[];
  readonly wait: readonly Mean[];
  readonly output: number;
}

interface Mean {
  readonly batch: number;
  readonly ms: number;
}

/** The assumed part of a run's time that is the same for any batch, until a second batch has run. */
const FIXED = 3 / 4;
/** The assumed time of a run before the first one, in milliseconds. It matters only in comparison with other models. */
const UNKNOWN_MS = 50;
/** The most batches whose times are kept on disk. */
const MOST_MEANS = 16;

/**
 * The memory and time of one model's runs, with items of one shape. A batch is at most twice the largest that ran, so an
 * estimate is never far from a measured run.
 */
export class Learned {
  readonly #peaks = new Peaks();
  readonly #gpu = new Times();
  readonly #wait = new Times();
  /** Of runs that compiled something. They count while there are no others. */
  readonly #first = { gpu: new Times(), wait: new Times() };
  #largest = 0;
  #output = 0;

  static read({ peaks, gpu, wait, output }: LearnedRecord): Learned {
    const learned = new Learned();
    for (const { batch, bytes } of peaks) learned.#peaks.observe(batch, bytes);
    // The batch that counts most is first in the record, and counts most where it is observed last.
    for (const { batch, ms } of [...gpu].reverse()) learned.#gpu.observe(batch, ms);
    for (const { batch, ms } of [...wait].reverse()) learned.#wait.observe(batch, ms);
    learned.#largest = Math.max(0, ...gpu.map(({ batch }) => batch));
    learned.#output = output;
    return learned;
  }

  /** An estimate for items that are `ratio` times as large: memory and time grow with the size. Runs correct it. */
  scaled(ratio: number): Learned {
    const { peaks, gpu, wait, output } = this.record();
    const larger = ({ batch, ms }: Mean): Mean => ({ batch, ms: ms * ratio });
    return Learned.read({
      peaks: peaks.map(({ batch, bytes }) => ({ batch, bytes: bytes * ratio })),
      gpu: gpu.map(larger),
      wait: wait.map(larger),
      output: output * ratio,
    });
  }

  get hasRun(): boolean {
    return this.#largest > 0;
  }

  /** A run has ended well. */
  ran(batch: number, peak: number): void {
    this.#peaks.observe(batch, peak);
    this.#largest = Math.max(this.#largest, batch);
  }

  /**
   * The time of a run that ended well, by the host's report of its GPU. Without a report, all time but that of the inputs
   * counts as the GPU's. `isFirst`: the run compiled something, so the next one is faster.
   */
  took(batch: number, { ms, inferMs }: RunReport, gpu: GpuTime | undefined, isFirst: boolean): void {
    const times = isFirst ? this.#first : { gpu: this.#gpu, wait: this.#wait };
    times.gpu.observe(batch, gpu?.ms ?? inferMs);
    times.wait.observe(batch, Math.max(0, ms - (gpu?.busyMs ?? inferMs)));
  }

  /** Bytes of an item's outputs that stayed on the lane. */
  kept(bytes: number): void {
    this.#output = Math.max(this.#output, bytes);
  }

  outOfMemory(batch: number, free: number): void {
    this.#peaks.outOfMemory(batch, free);
  }

  /** `guess`: bytes of a run of one item, before any has run. `output`: those of its outputs at least. */
  costs({
    maxBatch,
    guess,
    output,
  }: {
    maxBatch: number;
    guess: number;
    output: number;
  }): Pick<ModelCosts, 'maxBatch' | 'memory' | 'gpu' | 'wait' | 'output'> {
    const isKnown = this.#gpu.means.length > 0;
    return {
      maxBatch: Math.min(maxBatch, Math.max(1, 2 * this.#largest)),
      memory: this.#peaks.isKnown ? this.#peaks.line : { base: 0, perItem: guess },
      gpu: line(isKnown ? this.#gpu : this.#first.gpu, UNKNOWN_MS),
      wait: line(isKnown ? this.#wait : this.#first.wait, 0),
      output: Math.max(output, this.#output),
    };
  }

  /** The bytes and the milliseconds of a run. */
  expected(batch: number): { bytes: number; ms: number } {
    const costs = this.costs({ maxBatch: batch, guess: 0, output: 0 });
    return { bytes: this.#peaks.at(batch), ms: at(runTime(costs), batch) };
  }

  /** How long the GPU works for a run; undefined before any run has told it. */
  gpuMs(batch: number): number | undefined {
    const times = this.#gpu.means.length > 0 ? this.#gpu : this.#first.gpu;
    return times.means.length > 0 ? at(line(times, 0), batch) : undefined;
  }

  record(): LearnedRecord {
    return {
      peaks: this.#peaks.hull.filter(({ batch }) => batch > 0),
      gpu: this.#gpu.means.slice(0, MOST_MEANS),
      wait: this.#wait.means.slice(0, MOST_MEANS),
      output: this.#output,
    };
  }
}

/** The line of the times; a single batch says nothing of the part that is the same for any batch. */
function line(times: Times, unknown: number): Affine {
  const [first, second] = times.means;
  if (second) return times.line;
  const ms = first?.ms ?? unknown;
  return { base: ms * FIXED, perItem: (ms * (1 - FIXED)) / (first?.batch ?? 1) };
}
