import type { Definition } from '../definition/definition.js';
import { ERRORS } from '../flow/flow.js';
import type { ApplicationStatus, StepCounts } from '../run/status.js';
import type { Intake } from './intake.js';
import type { WorkerRecord } from './records.js';

/** The status of an application, summed up over its workers. */
export function applicationStatus({
  definition,
  upgrade,
  isUpgrading,
  intakes,
  counts,
  workers,
}: {
  readonly definition: Definition;
  readonly upgrade: number;
  readonly isUpgrading: boolean;
  readonly intakes: ReadonlyMap<string, Pick<Intake, 'count' | 'ahead'>>;
  readonly counts: ReadonlyMap<string, number>;
  readonly workers: readonly WorkerRecord[];
}): ApplicationStatus {
  const partitions = workers.flatMap((worker) => worker.partitions);
  const steps = new Map<string, StepCounts>(
    definition.steps.map(({ uid }) => [uid, { records: 0, failed: 0, ms: 0 }]),
  );
  for (const partition of partitions)
    for (const { uid, records, failed, ms } of partition.steps) {
      const sum = steps.get(uid);
      if (!sum) continue;
      sum.records += records;
      sum.failed += failed;
      sum.ms += ms;
    }
  return {
    name: definition.name,
    version: definition.id,
    epoch: upgrade,
    passing: partitions.reduce((sum, { passing }) => sum + passing, 0),
    isUpgrading,
    sources: [...intakes].map(([name, { count, ahead }]) => {
      return { name, records: count, waiting: ahead, bytes: 0 };
    }),
    steps: [...steps].map(([uid, sums]) => ({ uid, ...sums })),
    sinks: [...Object.keys(definition.sinks), ERRORS].map((name) => {
      return { name, outputs: counts.get(name) ?? 0 };
    }),
  };
}
