import type { StepCounts } from '../../run/status.js';
import type { PartitionStatus, WorkerRecord } from '../records.js';

type Sums = Omit<StepCounts, 'running'>;

/** What the workers have done between two reports of one of them. */
export interface Progress {
  readonly worker: string;
  /** Records that have passed through, by partition. */
  readonly passed: ReadonlyMap<number, number>;
  /** By uid. */
  readonly steps: ReadonlyMap<string, Sums>;
  /** Runs of models, by how many items they had. */
  readonly runs: readonly { readonly uid: string; readonly batch: number; readonly runs: number }[];
}

/**
 * Sums up the reports of workers. A worker counts the records of a partition from the moment at which it takes it. So the
 * sums go on where a partition moves, or a worker ends.
 */
export class Reports {
  /** By partition, the last report of its last owner. */
  readonly #partitions = new Map<number, PartitionStatus>();
  readonly #runs = new Map<string, WorkerRecord['runs']>();
  readonly #steps = new Map<string, Sums>();

  /** By uid, the work of a step since the first reports. */
  get steps(): ReadonlyMap<string, Readonly<Sums>> {
    return this.#steps;
  }

  /** The first report of an owner is part of the sums, and of no progress: its work may be old. */
  take({ id, partitions, runs }: WorkerRecord): Progress {
    const passed = new Map<number, number>();
    const steps = new Map<string, Sums>();
    for (const status of partitions) {
      const { partition, term } = status;
      const last = this.#partitions.get(partition);
      // An owner before it has said this late.
      if (last && last.term > term) continue;
      this.#partitions.set(partition, status);
      const before = last?.term === term ? last : undefined;
      if (before) passed.set(partition, status.passed - before.passed);
      for (const step of status.steps) {
        const old = before?.steps.find(({ uid }) => uid === step.uid);
        const done = {
          records: step.records - (old?.records ?? 0),
          failed: step.failed - (old?.failed ?? 0),
          ms: step.ms - (old?.ms ?? 0),
        };
        add(this.#steps, step.uid, done);
        if (before) add(steps, step.uid, done);
      }
    }
    return { worker: id, passed, steps, runs: [...this.#newRuns(id, runs)] };
  }

  /** A worker is gone. */
  forget(worker: string): void {
    this.#runs.delete(worker);
  }

  *#newRuns(worker: string, runs: WorkerRecord['runs']): Generator<Progress['runs'][number]> {
    const before = this.#runs.get(worker);
    this.#runs.set(worker, runs);
    if (!before) return;
    for (const [uid, sizes] of runs) {
      for (const [batch, count] of sizes) {
        const more = count - (before.get(uid)?.get(batch) ?? 0);
        if (more > 0) yield { uid, batch, runs: more };
      }
    }
  }
}

function add(sums: Map<string, Sums>, uid: string, { records, failed, ms }: Sums): void {
  const sum = sums.get(uid) ?? { records: 0, failed: 0, ms: 0 };
  sums.set(uid, { records: sum.records + records, failed: sum.failed + failed, ms: sum.ms + ms });
}
