import type { Definition } from '../definition/definition.js';
import type { UpgradePlan } from '../definition/upgrade-plan.js';

/** The work of a step since the start. */
export interface StepCounts {
  records: number;
  failed: number;
  /** Milliseconds in all, with the waiting for a lane. */
  ms: number;
  /** Records that it has begun with. */
  running: number;
}

/** The troubles of a source. A source that takes all has none. */
export interface SourceHealth {
  /** Why it fails now. It is tried again. */
  readonly problem?: string;
  /** Files, messages or other records that were put aside since the start; left out where there is none. */
  readonly aside?: number;
}

export interface ApplicationStatus {
  readonly name: string;
  readonly version: string;
  readonly epoch: number;
  /** Records on their way. */
  readonly passing: number;
  /** Records that have passed through since the start. */
  readonly passed: number;
  readonly isUpgrading: boolean;
  readonly sources: readonly (SourceHealth & {
    readonly name: string;
    readonly records: number;
    /** Logged, and not on their way yet. */
    readonly waiting: number;
    /** Of its log; left out where the broker has it. */
    readonly bytes?: number;
  })[];
  readonly steps: readonly (StepCounts & { readonly uid: string })[];
  readonly sinks: readonly { readonly name: string; readonly outputs: number }[];
  /** Of an application whose work is shared. */
  readonly workers?: {
    readonly workers: readonly WorkerStatus[];
    readonly partitions: readonly PartitionNow[];
  };
}

export interface WorkerStatus {
  readonly id: string;
  /** The partitions that it runs. */
  readonly partitions: readonly number[];
  /** Records on their way. */
  readonly passing: number;
  /** Milliseconds since it said last that it lives, as far as it could be heard. */
  readonly silent: number;
  /** Why it cannot run the application, and so gets no partitions. */
  readonly problem?: string;
}

export interface PartitionNow {
  readonly partition: number;
  /** The worker that runs it; '' for none. */
  readonly worker: string;
  readonly epoch: number;
  /** Records on their way. */
  readonly passing: number;
  /** Records that were logged and have not begun. */
  readonly waiting: number;
  /** Its part in the upgrade that is under way; `prepared`: its states at the cut are stored, and it waits until all are. */
  readonly upgrade?: Upgrading['phase'] | 'prepared';
}

/** An upgrade that is under way. */
export interface Upgrading {
  readonly definition: Definition;
  readonly plan: UpgradePlan;
  /**
   * - `compiling`: models are compiled and functions are loaded.
   * - `replaying`: records that the process before may have passed through come first.
   * - `ready`: all of that is done here, and the cut waits until it is done everywhere.
   * - `passing`: the cut is made, and records before it pass through the old version.
   */
  phase: 'compiling' | 'replaying' | 'ready' | 'passing';
}
