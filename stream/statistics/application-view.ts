import type { Quantiles } from '../../infer/statistics/request-times.js';
import type { Change, StepChange } from '../definition/upgrade-plan.js';
import type { PartitionNow, SourceHealth, Upgrading, WorkerStatus } from '../run/status.js';
import type { SecondView } from './history.js';

/** The state of an application, as its page and `farlight top` read it. A tenant is shown its own alone. */
export interface ApplicationView {
  readonly name: string;
  /** Of Farlight. */
  readonly version: string;
  /** The addresses for clients. */
  readonly urls: readonly string[];
  /** Milliseconds since 1970. */
  readonly startedAt: number;
  readonly now: number;
  /** The tenant whose records these are; left out where they are of all tenants. */
  readonly tenant?: string;
  /** Records that were posted, by tenant and source. */
  readonly posted: readonly PostedView[];
  /** Left out for a tenant: it is of all of them. */
  readonly all?: AllView;
}

/** The part of the state that is of all tenants: for the owner. */
export interface AllView {
  /** The version of the application that is committed. */
  readonly id: string;
  readonly epoch: number;
  /** Records on their way, and those that wait in the logs. */
  readonly passing: number;
  readonly waiting: number;
  /** Per second: the mean of the last whole seconds. */
  readonly rates: { readonly records: number; readonly outputs: number; readonly failed: number };
  readonly lag: LagView;
  /** Sources, steps and sinks: each comes after those whose values it takes. */
  readonly nodes: readonly NodeView[];
  readonly upgrade?: UpgradeView;
  /** Upgrades that have ended, the newest first. */
  readonly upgrades: readonly EndedUpgradeView[];
  /** The last outputs of sinks to the page, the newest first; left out where there is no such sink. */
  readonly outputs?: readonly OutputView[];
  /** Left out where this process does all the work. */
  readonly workers?: WorkersView;
}

/** Who shares the work. Rates are of records that have passed, per second: the mean of the last whole seconds. */
export interface WorkersView {
  readonly workers: readonly (WorkerStatus & { readonly rate: number })[];
  readonly partitions: readonly PartitionView[];
}

/** The milliseconds from the log to a sink, of the last outputs. */
export interface LagView extends Quantiles {
  readonly outputs: number;
}

interface NodeRates {
  /** Unlike that of any other node. */
  readonly id: string;
  readonly name: string;
  /** Its kind, its model or its function. */
  readonly what: string;
  /** The ids of the nodes whose values it takes. */
  readonly from: readonly string[];
  /** Records of a source, of a step or of a sink, and those per second. */
  readonly records: number;
  readonly rate: number;
  /** Only while an upgrade is under way. */
  readonly change?: Change['change'];
  readonly details?: readonly string[];
}

export type NodeView =
  | (NodeRates &
      SourceHealth & { readonly kind: 'source'; readonly waiting: number; readonly bytes?: number })
  | (NodeRates & {
      readonly kind: 'step';
      readonly uid: string;
      readonly hasState: boolean;
      /** The plan for its state. */
      readonly state?: StepChange['state'];
      readonly failed: number;
      readonly running: number;
      /** In all, with the waiting for a lane. */
      readonly seconds: number;
      /** Milliseconds for a record, and the items of a run: means of the last seconds. */
      readonly ms: number;
      readonly items: number;
      readonly largest: number;
    })
  | (NodeRates & { readonly kind: 'sink' });

export interface UpgradeView {
  readonly to: string;
  readonly phase: Upgrading['phase'];
}

export interface EndedUpgradeView {
  /** When it ended, in milliseconds since 1970, and how long it took. */
  readonly at: number;
  readonly ms: number;
  readonly from: string;
  readonly to: string;
  /** The changes in words, as `~ decide`. */
  readonly changes: readonly string[];
  readonly epoch?: number;
  /** Why it was not committed. */
  readonly why?: string;
}

export interface PartitionView extends PartitionNow {
  readonly rate: number;
  /** The milliseconds from the log to a sink, of its last output. */
  readonly lag?: number;
}

export interface PostedView {
  readonly tenant: string;
  readonly source: string;
  readonly records: number;
  /** Records that were taken before. */
  readonly repeated: number;
  /** Records that were wrong. */
  readonly refused: number;
  /** Records per second: the mean of the last whole seconds. */
  readonly rate: number;
}

/** An output of a sink that shows its last ones. */
export interface OutputView {
  readonly sink: string;
  readonly id: string;
  /** When it was written, in milliseconds since 1970. */
  readonly at: number;
  readonly key: string;
  /** Its values as JSON, cut where they are long. */
  readonly text: string;
}

/** An event of `/events`: the application's current state, and the seconds that are new or have changed. */
export interface ApplicationEvent {
  readonly application: ApplicationView;
  readonly seconds: readonly SecondView[];
}
