import type { MemoryState } from '../../client/index.js';
import type { Tensor, TensorDeclaration } from '../service/tensor.js';
import type { GpuTime } from './gpu/gpu-times.js';

/**
 * A worker that runs one thing at a time: a batch of a model, with an ONNX Runtime and a Farlight session of its own, or
 * a function of a graph. Its methods are called one after the other: the caller waits for each first.
 */
export interface Lane {
  readonly name: string;
  /** Loads a model. A lane has several models loaded. @throws Error that says what is wrong with the file */
  load(model: LaneModel): Promise<LoadReport>;
  unload(model: string): Promise<void>;
  /** Runs a loaded model once. */
  run(run: LaneRun): Promise<RunReport>;
  /** Brings kept values back, for a step that runs on another lane. They stay kept. */
  fetch(values: readonly KeptValue[]): Promise<Tensor[]>;
  /** Drops values that were kept on the lane. Values that are gone already are no error. */
  drop(values: readonly KeptValue[]): void;
  /** The host's memory. Left out by lanes that use none. */
  readonly memory?: LaneMemory;
  /**
   * Resolves with the reason, in a sentence, once the worker or its session is gone. Its kept values are gone too.
   * It resolves before the calls that were under way reject: so their error is not taken for a fault of the model.
   */
  readonly lost: Promise<string>;
  close(): Promise<void>;
}

/** The GPU memory of a lane's session, as its host tells it. */
export interface LaneMemory {
  /** The state that the host told last. */
  readonly state: MemoryState;
  /** Called when the host has told something else. */
  onChange: () => void;
}

/**
 * A model's file, under the name that the lane's runs use. Of a function, which runs on lanes of its own kind, the file
 * is its module, and `function` its export; its declarations are empty, and each run has one part.
 */
export interface LaneModel {
  readonly id: string;
  readonly file: string;
  readonly function?: string;
  /** Bytes that are reserved on the host while it is loaded, as for a run. */
  readonly reserve?: number;
  /** The version of its files that another lane has loaded. If they have changed since, they are not loaded. */
  readonly version?: string;
  /** Of a model that lies over several hosts, which lanes of their own kind run. */
  readonly shard?: ShardSettings;
}

/** How a model lies over several hosts. */
export interface ShardSettings {
  readonly hosts: number;
  /** Sizes of free dimensions by name. Two sizes: it differs from run to run. */
  readonly dimensions?: Readonly<Record<string, number | readonly [number, number]>>;
  /** Shapes of inputs by name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
}

/** A function declares no inputs and outputs, and has no weights. */
export interface LoadReport {
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
  /** Says which files were loaded. */
  readonly version: string;
  /** Bytes of GPU memory that the model holds while it is loaded. */
  readonly weights: number;
  readonly ms: number;
}

/** A value that stays on the lane, where the next step needs it. */
export interface KeptValue {
  readonly lane: string;
  readonly id: number;
  readonly name: string;
  readonly shape: readonly number[];
}

export function isKept(value: Tensor | KeptValue): value is KeptValue {
  return 'lane' in value;
}

export interface LaneRun {
  readonly model: string;
  /** For each input of the model, the parts that are joined along the first dimension, in order. */
  readonly inputs: Readonly<Record<string, readonly LaneInput[]>>;
  /** How many items each part of the outputs has, in order; their sum is the batch. */
  readonly parts: readonly number[];
  /** The outputs that stay on the lane, as one kept value for each part. The others come back as tensors. */
  readonly keep: readonly string[];
  /** The outputs that come back. */
  readonly fetch: readonly string[];
  /** Bytes that are reserved on the host for the run. The host is asked with the run, in the same round trip. */
  readonly reserve?: number;
}

/**
 * Some consecutive items of a tensor, or of a value that is on this lane. A scalar has one item. One input that covers
 * all of its value is given to the model as it is.
 */
export interface LaneInput {
  readonly value: Tensor | KeptValue;
  readonly from: number;
  readonly count: number;
}

export interface RunReport {
  /** By output, one entry for each part. */
  readonly outputs: Readonly<Record<string, readonly (Tensor | KeptValue)[]>>;
  /** The peak of GPU memory during the run, beyond what the lane held before it, in bytes. */
  readonly peak: number;
  /**
   * Milliseconds: of the whole run, of bringing the inputs in, of the run itself, and of bringing the outputs back. Where
   * outputs come back in the round trip of the run, that counts as the run.
   */
  readonly ms: number;
  readonly inputMs: number;
  readonly inferMs: number;
  readonly outputMs: number;
  /**
   * How long the host's GPU worked for the run. It is known a little after the run: when the other lanes' work of that
   * time is known. It never rejects. Undefined where the host does not report it.
   */
  readonly gpu?: Promise<GpuTime | undefined>;
}

/**
 * A run that failed. `memory`: the host had too little memory, and a smaller batch may fit. `taken`: its memory could not be
 * reserved, since others have it. `away`: the model could not be loaded. The last two say nothing of the run.
 */
export class RunError extends Error {
  readonly memory: boolean;
  readonly taken: boolean;
  readonly away: boolean;

  constructor(
    message: string,
    {
      memory = false,
      taken = false,
      away = false,
      cause,
    }: { memory?: boolean; taken?: boolean; away?: boolean; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'RunError';
    this.memory = memory;
    this.taken = taken;
    this.away = away;
  }
}

/** The lane is gone, with all its work. That need not be the fault of a run. */
export class LaneLostError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'LaneLostError';
  }
}
