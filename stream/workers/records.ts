import type { UpgradeWords } from '../definition/upgrade-plan.js';
import type { StepCounts, Upgrading } from '../run/status.js';

/** The version that all partitions run. To change it is what commits an upgrade. */
export interface ApplicationRecord {
  /** Fixed when the application begins: a key belongs to one of them. */
  readonly partitions: number;
  /** The id of the version, and of the one before it. */
  readonly definition: string;
  readonly previous?: string;
  /** The upgrade that brought this version; 0 for the first one. */
  readonly upgrade: number;
  /** How many upgrades have begun. */
  readonly begun: number;
  /** The term of the coordinator that began last: none of before may begin an upgrade. */
  readonly coordinator: number;
  /** The upgrade that is under way. */
  readonly open?: OpenUpgrade;
}

export interface OpenUpgrade {
  /** Its number. No other upgrade has it. */
  readonly upgrade: number;
  /** The term of the coordinator that asks for it, and may commit it. */
  readonly coordinator: number;
  readonly definition: string;
  readonly words: UpgradeWords;
  /** Workers that make the version ready. It grows: the next ones of a machine begin when those before them are ready. */
  readonly workers: readonly string[];
  /** All partitions are ready: each cuts its input now. */
  readonly isReady?: boolean;
}

/** A partition, which one worker at a time owns. */
export interface PartitionRecord {
  /** It grows with each owner. */
  readonly term: number;
  /** The id of the worker, a space, and an id of its own for each time that the worker takes the partition. */
  readonly owner: string;
  /** The name of the object with its last checkpoint. */
  readonly checkpoint?: string;
  /** The upgrade for which it is ready: it cuts once all partitions are. */
  readonly ready?: number;
  /** The checkpoint at the cut of an upgrade: the last one, if that upgrade is committed. */
  readonly prepared?: { readonly upgrade: number; readonly checkpoint: string };
  /** By source, the highest offset that a cut ever had: records before it were at the broker. */
  readonly cut?: ReadonlyMap<string, number>;
  /** An upgrade that this partition cannot make. */
  readonly failed?: { readonly upgrade: number; readonly message: string };
}

/** By partition, the worker that shall own it; '' where the one that has it shall release it. */
export interface AssignmentRecord {
  readonly coordinator: number;
  readonly workers: readonly string[];
}

export interface CoordinatorRecord {
  readonly term: number;
  readonly id: string;
  readonly place: string;
  /** It grows while the coordinator lives. -1 when it has ended by itself. */
  readonly beat: number;
}

/** How far the coordinator has come: all before can be deleted. */
export interface FrontRecord {
  readonly coordinator: number;
  /** By source and partition, the sequence of the last record whose position is stored. */
  readonly read: Readonly<Record<string, readonly number[]>>;
  /** The sequence of the last message whose outputs sinks have. */
  readonly delivered: number;
  /** The name of the object with positions and marks. */
  readonly object: string;
}

/** The report of a worker on itself, which it writes again and again. */
export interface WorkerRecord {
  readonly id: string;
  /** It grows. -1: the worker has ended. */
  readonly beat: number;
  /** Whether it can run the version that is committed: until then it gets no partitions. */
  readonly isReady: boolean;
  /** Why it cannot. */
  readonly problem?: string;
  readonly machine: Machine;
  /** The partitions that it has, or opens, or closes. */
  readonly holds: readonly number[];
  readonly partitions: readonly PartitionStatus[];
  /** By uid of a step that is a model, how many runs of it had so many items, since the worker began. */
  readonly runs: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

/** The machine of a worker, which others may share. */
export interface Machine {
  readonly name: string;
  readonly cores: number;
}

/** A partition, as its owner tells of it. It counts from the moment at which it took the partition. */
export interface PartitionStatus {
  readonly partition: number;
  /** That of `PartitionRecord`. */
  readonly term: number;
  readonly epoch: number;
  readonly passing: number;
  readonly passed: number;
  /** How far it has come with the upgrade that is under way. */
  readonly upgrade?: Upgrading['phase'];
  /** By source, the offset of the record that it takes next. */
  readonly next: Readonly<Record<string, number>>;
  readonly steps: readonly (StepCounts & { readonly uid: string })[];
}

export const APPLICATION = 'application';
export const ASSIGNMENT = 'assignment';
export const COORDINATOR = 'coordinator';
export const FRONT = 'front';

export function partitionKey(partition: number): string {
  return `partition.${partition}`;
}

/** The id of the worker that owns a partition. */
export function workerOf({ owner }: PartitionRecord): string {
  return owner.slice(0, owner.indexOf(' '));
}

export function workerKey(id: string): string {
  return `worker.${id}`;
}

/** The stream with the records of a source. */
export function recordsOf(source: string): string {
  return `records-${source}`;
}

/** The stream with the outputs of all sinks. */
export const OUTPUTS = 'outputs';

/** The checkpoint that a partition goes on from. */
export function checkpointOf(
  { checkpoint, prepared }: PartitionRecord,
  { upgrade }: ApplicationRecord,
): string | undefined {
  return prepared?.upgrade === upgrade ? prepared.checkpoint : checkpoint;
}

/** The same version, and no upgrade under way. */
export function withoutOpen({ open: _, ...record }: ApplicationRecord): ApplicationRecord {
  return record;
}
