import type { Definition } from '../../definition/definition.js';
import { ERRORS } from '../../flow/flow.js';
import type {
  ApplicationStatus,
  PartitionNow,
  SourceHealth,
  StepCounts,
  WorkerStatus,
} from '../../run/status.js';
import type { PartitionStatus, WorkerRecord } from '../records.js';
import type { Intake } from './intake.js';
import type { Reports } from './reports.js';

/** What the coordinator knows of a worker. */
export interface KnownWorker {
  readonly record: WorkerRecord;
  /** Milliseconds since its last report. */
  readonly silent: number;
}

/** The status of an application, summed up over its workers. */
export function applicationStatus({
  definition,
  upgrade,
  isUpgrading,
  partitions: count,
  isPrepared,
  intakes,
  health,
  outputs,
  reports,
  workers,
}: {
  readonly definition: Definition;
  readonly upgrade: number;
  readonly isUpgrading: boolean;
  readonly partitions: number;
  /** Whether a partition has stored its states for the upgrade that is under way. */
  isPrepared(partition: number): boolean;
  readonly intakes: ReadonlyMap<string, Pick<Intake, 'count' | 'ahead' | 'aheadIn'>>;
  health(source: string): SourceHealth;
  /** By sink. */
  readonly outputs: ReadonlyMap<string, number>;
  readonly reports: Reports;
  readonly workers: readonly KnownWorker[];
}): ApplicationStatus {
  const owners = ownersOf(workers.map(({ record }) => record));
  const owned = [...owners.values()].map(({ status }) => status);
  const partitions = Array.from({ length: count }, (_, partition): PartitionNow => {
    const { id = '', status } = owners.get(partition) ?? {};
    const phase = isPrepared(partition) ? 'prepared' : status?.upgrade;
    return {
      partition,
      worker: id,
      epoch: status?.epoch ?? 0,
      passing: status?.passing ?? 0,
      waiting: sumOf([...intakes.values()], (intake) => intake.aheadIn(partition)),
      ...(isUpgrading && phase && { upgrade: phase }),
    };
  });
  return {
    name: definition.name,
    version: definition.id,
    epoch: upgrade,
    passing: sumOf(owned, ({ passing }) => passing),
    passed: sumOf(owned, ({ passed }) => passed),
    isUpgrading,
    sources: [...intakes].map(([name, { count, ahead }]) => {
      return { name, records: count, waiting: ahead, ...health(name) };
    }),
    steps: definition.steps.map(({ uid }) => {
      const { records = 0, failed = 0, ms = 0 } = reports.steps.get(uid) ?? {};
      const running = sumOf(owned, ({ steps }) => stepIn(steps, uid)?.running ?? 0);
      return { uid, records, failed, ms, running };
    }),
    sinks: [...Object.keys(definition.sinks), ERRORS].map((name) => {
      return { name, outputs: outputs.get(name) ?? 0 };
    }),
    workers: {
      workers: workers.map(({ record: { id, partitions, problem }, silent }): WorkerStatus => {
        const passing = sumOf(partitions, (each) => each.passing);
        const numbers = partitions.map(({ partition }) => partition);
        return { id, partitions: numbers, passing, silent, ...(problem !== undefined && { problem }) };
      }),
      partitions,
    },
  };
}

/** The owner of each partition. One that has just lost it may still tell of it. */
function ownersOf(workers: readonly WorkerRecord[]): Map<number, { id: string; status: PartitionStatus }> {
  const owners = new Map<number, { id: string; status: PartitionStatus }>();
  for (const { id, partitions } of workers)
    for (const status of partitions)
      if ((owners.get(status.partition)?.status.term ?? 0) < status.term)
        owners.set(status.partition, { id, status });
  return owners;
}

function stepIn(steps: readonly (StepCounts & { uid: string })[], uid: string) {
  return steps.find((step) => step.uid === uid);
}

function sumOf<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((sum, value) => sum + of(value), 0);
}
