import type { RequestSpan } from '../../infer/service/request-span.js';
import type { Tensor } from '../../infer/service/tensor.js';
import type { Definition } from '../definition/definition.js';
import type { State } from '../flow/version.js';

/** Runs steps. */
export interface StepRunner {
  /** Makes a version's models and functions ready, beside those that run. @throws Error that says why not (rejects) */
  prepare(definition: Definition): Promise<void>;
  /** Frees what only this version needs. */
  release(definition: Definition): Promise<void>;
  /**
   * Runs a step. It waits for hosts that are lost as long as it has to.
   *
   * @throws StepError where the record itself is at fault (rejects); any other error is one of Farlight
   */
  run(step: StepRun): Promise<StepResult>;
  /** @throws Error that says why the state cannot be converted (rejects) */
  migrate(definition: Definition, uid: string, state: State<Tensor>): Promise<State<Tensor>>;
}

export interface StepResult {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly state: State<Tensor> | undefined;
  /** Of a model, the stretches of its time. */
  readonly spans?: readonly RequestSpan[];
}

export interface StepRun {
  readonly definition: Definition;
  readonly uid: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly state: State<Tensor> | undefined;
}

/** The record makes a step fail, and would again. */
export class StepError extends Error {}
