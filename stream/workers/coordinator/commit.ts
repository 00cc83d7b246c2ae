import { isDeepStrictEqual } from 'node:util';
import { FencedError } from '../../broker/broker.js';
import type { UpgradeWords } from '../../definition/upgrade-plan.js';
import {
  type ApplicationRecord,
  type OpenUpgrade,
  type PartitionRecord,
  withoutOpen,
  workerOf,
} from '../records.js';
import type { ApplicationState } from './application-state.js';

/** The upgrade can be tried again. */
export class MovedError extends Error {
  constructor() {
    super('a partition has got another worker while the upgrade was under way: ask for it again');
  }
}

export interface CommitOptions {
  /** The term of the coordinator. */
  readonly coordinator: number;
  /** The id of the version. */
  readonly definition: string;
  readonly words: UpgradeWords;
  /** The workers that have partitions, in the turns in which they make the version ready. */
  readonly turns: readonly (readonly string[])[];
  readonly signal: AbortSignal | undefined;
}

/**
 * Takes all partitions through one upgrade. Workers make the version ready, each in its turn. When all are ready, all cut
 * their input, and store their states at the cut. One change of the application's record then commits it; until then
 * anything that fails leaves the old version running.
 *
 * @throws MovedError, FencedError, Error that says why not (rejects)
 */
export async function commitUpgrade(
  state: ApplicationState,
  { coordinator, definition, words, turns, signal }: CommitOptions,
): Promise<void> {
  signal?.throwIfAborted();
  const upgrade = state.record.begun + 1;
  let workers = turns[0] ?? [];
  await state.changeExisting((record) => {
    if (record.coordinator > coordinator) throw new FencedError('another coordinator has taken over');
    if (record.begun >= upgrade) return undefined;
    return { ...record, begun: upgrade, open: { upgrade, coordinator, definition, words, workers } };
  });
  const openIn = ({ open }: ApplicationRecord) =>
    open?.upgrade === upgrade && open.coordinator === coordinator ? open : undefined;
  /** @throws MovedError, Error where a partition cannot make the upgrade (rejects) */
  const untilAll = (have: (record: PartitionRecord | undefined) => boolean) =>
    state.until(() => {
      if (!openIn(state.record)) throw new MovedError();
      const failed = state.partitions.find((record) => record?.failed?.upgrade === upgrade)?.failed;
      if (failed) throw new Error(failed.message);
      return state.partitions.every(have);
    }, signal);
  const change = (next: Partial<OpenUpgrade>) =>
    state.changeExisting((record) => {
      const open = openIn(record);
      const changed = open && { ...open, ...next };
      return isDeepStrictEqual(open, changed) ? undefined : { ...record, ...(changed && { open: changed }) };
    });
  try {
    for (const turn of turns.slice(1)) {
      const begun = new Set(workers);
      await untilAll(
        (record) => record?.ready === upgrade || (record !== undefined && !begun.has(workerOf(record))),
      );
      workers = [...workers, ...turn];
      await change({ workers });
    }
    await untilAll((record) => record?.ready === upgrade);
    await change({ isReady: true });
    await untilAll((record) => record?.prepared?.upgrade === upgrade);
    const { upgrade: committed } = await state.changeExisting((record) => {
      if (!openIn(record)) return undefined;
      return { ...withoutOpen(record), definition, previous: record.definition, upgrade };
    });
    if (committed !== upgrade) throw new MovedError();
  } catch (error) {
    // It throws where the upgrade may have been committed, and this is not known.
    await state.changeExisting((record) => (openIn(record) ? withoutOpen(record) : undefined));
    throw error;
  }
}
