import type { RequestSpan } from './request-span.js';
import type { ServiceState } from './state.js';
import type { Tensor, TensorDeclaration } from './tensor.js';

/** The inference server behind any protocol. Clients ask for a graph as they ask for a model. */
export interface InferenceService {
  /** Every model that is to be served can answer. */
  readonly ready: boolean;
  /** All models and graphs of the folder, also the ones that are not loaded. */
  index(): readonly IndexEntry[];
  /** @throws InferenceError not-found, unavailable */
  metadata(model: string, version?: string): ModelMetadata;
  /** @throws InferenceError not-found, unavailable */
  configuration(model: string, version?: string): ModelConfiguration;
  /** Of one model, or of all. @throws InferenceError not-found */
  statistics(model?: string, version?: string): readonly ModelStatistics[];
  /** Its current state. */
  state(): ServiceState;
  /** Calls back with the items of each run that has ended well. The returned function ends that. */
  onRun(listener: (items: number) => void): () => void;
  /**
   * Runs a model or a graph once. A request whose signal aborts is not computed any more, and rejects with `cancelled`.
   * @throws InferenceError
   */
  infer(request: InferenceRequest, signal?: AbortSignal): Promise<InferenceResult>;
  /**
   * Reads the model's or the graph's folder again, and serves it. Until then the served one goes on.
   * @throws InferenceError not-found; unavailable, with what is wrong with the folder
   */
  load(model: string, overrides?: LoadOverrides): Promise<void>;
  /** Runs that are under way are finished. Requests that wait for it are refused. */
  unload(model: string): Promise<void>;
}

/** Settings that replace the model's `config.yaml` until it is loaded again. */
export interface LoadOverrides {
  readonly maxBatchSize?: number;
}

export interface InferenceRequest {
  readonly model: string;
  /** The latest one if left out. */
  readonly version?: string;
  /** The client's name for it, which the result carries. */
  readonly id?: string;
  readonly inputs: readonly Tensor[];
  /** The outputs that are wanted; all if left out. */
  readonly outputs?: readonly string[];
  /** 1 is the highest; 0 or left out, the model's own. */
  readonly priority?: number;
  /** Milliseconds from now until nobody wants the result any more. */
  readonly timeout?: number;
  /** The tenant that asks. */
  readonly tenant?: string;
  /** The tenant's weight among tenants; 1 if left out. */
  readonly share?: number;
  /** Called with each stretch of its time. It returns at once, and does not throw. */
  readonly onSpan?: (span: RequestSpan) => void;
}

export interface InferenceResult {
  readonly model: string;
  readonly version: string;
  readonly id?: string;
  readonly outputs: readonly Tensor[];
}

export interface IndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: 'READY' | 'LOADING' | 'UNLOADING' | 'UNAVAILABLE';
  /** Why it is not ready. */
  readonly reason?: string;
}

export interface ModelMetadata {
  readonly name: string;
  readonly versions: readonly string[];
  readonly platform: 'onnxruntime_onnx' | 'farlight_graph';
  readonly inputs: readonly TensorDeclaration[];
  readonly outputs: readonly TensorDeclaration[];
}

export interface ModelConfiguration extends ModelMetadata {
  /** The most items of a batch; 0 where the model takes one request at a time. */
  readonly maxBatchSize: number;
  /** By output, the names of its classes, where it has any. */
  readonly labels?: ReadonlyMap<string, readonly string[]>;
}

/** Counts since the start, times in nanoseconds. */
export interface ModelStatistics {
  readonly name: string;
  readonly version: string;
  /** When it ran last, milliseconds since the epoch; 0 if never. */
  readonly lastInference: number;
  /** Items that were computed. */
  readonly inferenceCount: number;
  /** Runs, of any batch. */
  readonly executionCount: number;
  readonly success: Duration;
  readonly fail: Duration;
  readonly queue: Duration;
  /** Bringing the inputs to the lane, the run, and bringing the outputs back. */
  readonly computeInput: Duration;
  readonly computeInfer: Duration;
  readonly computeOutput: Duration;
  readonly batches: readonly BatchStatistics[];
}

export interface BatchStatistics {
  readonly batchSize: number;
  readonly computeInput: Duration;
  readonly computeInfer: Duration;
  readonly computeOutput: Duration;
}

export interface Duration {
  readonly count: number;
  readonly ns: number;
}

/**
 * Why a request has no result:
 * - `invalid`: the request itself is wrong, or an item of it makes its model fail.
 * - `not-found`: there is no such model or version.
 * - `unavailable`: the model is loading, unloaded or broken, or the server is ending.
 * - `overloaded`: too much waits; `retryAfter` says when to ask again.
 * - `quota`: the tenant has as many requests, or bytes of them, as it may have at a time.
 * - `too-large`: it can never fit into the memory of a host.
 * - `expired`: its time was over first.
 * - `cancelled`: the client wants it no more.
 * - `forbidden`: the tenant has not the right, or not the share.
 * - `unsupported`: a part of the protocol that is not served.
 * - `internal`: the server or a host is at fault.
 */
export type InferenceErrorCode =
  | 'invalid'
  | 'not-found'
  | 'unavailable'
  | 'overloaded'
  | 'quota'
  | 'too-large'
  | 'expired'
  | 'cancelled'
  | 'forbidden'
  | 'unsupported'
  | 'internal';

export class InferenceError extends Error {
  readonly code: InferenceErrorCode;
  /** Seconds after which asking again may help. */
  readonly retryAfter: number | undefined;

  constructor(
    code: InferenceErrorCode,
    message: string,
    { retryAfter, cause }: { retryAfter?: number; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'InferenceError';
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** The request itself is wrong. The sentence tells its client how. */
export function invalid(sentence: string): InferenceError {
  return new InferenceError('invalid', sentence);
}
