import type { Clock } from '../../../link/machine/timer.js';
import { type Broker, FencedError } from '../../broker/broker.js';
import { Cell } from '../../broker/cell.js';
import { ASSIGNMENT, type AssignmentRecord, type WorkerRecord, workerKey } from '../records.js';
import { type Progress, Reports } from './reports.js';
import type { KnownWorker } from './status.js';

export interface RosterOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  /** The term of the coordinator. */
  readonly term: number;
  readonly partitions: number;
  isOver(): boolean;
  log(message: string): void;
}

/** A worker that says nothing for so long is taken for dead, in milliseconds. */
const SILENT_MS = 5000;
/** No more than so much of the time between two looks counts as silence, in milliseconds. */
const MOST_BETWEEN_MS = 1000;

/** The workers that live, and the partitions that each shall have. */
export class Roster {
  readonly #options: RosterOptions;
  readonly #workers = new Map<string, { readonly record: WorkerRecord; readonly at: number }>();
  #assigned: readonly string[] = [];
  /**
   * Milliseconds in which workers could be heard. Where the broker is away, or this process stands still on a busy machine,
   * reports wait to be read: nobody is dead for that.
   */
  #listened = 0;
  #lookedAt: number | undefined;
  readonly reports = new Reports();

  constructor(options: RosterOptions) {
    this.#options = options;
  }

  get known(): KnownWorker[] {
    return [...this.#workers.values()].map(({ record, at }) => ({ record, silent: this.#listened - at }));
  }

  /** Whether each partition runs at the worker that shall have it. */
  get isSettled(): boolean {
    const isOpen = (id: string, at: number) =>
      this.#workers.get(id)?.record.partitions.some(({ partition }) => partition === at) ?? false;
    return this.#assigned.length > 0 && this.#assigned.every(isOpen);
  }

  /** The workers that have partitions, in the turns in which they make a version ready. */
  get turns(): string[][] {
    const assigned = new Set(this.#assigned);
    return turnsOf(
      [...this.#workers.values()].flatMap(({ record }) => (assigned.has(record.id) ? record : [])),
    );
  }

  /** A worker has told of itself. @returns what it has done since it did last */
  heard(record: WorkerRecord): Progress {
    const { id, problem } = record;
    if (problem !== undefined && problem !== this.#workers.get(id)?.record.problem)
      this.#options.log(`worker ${id} gets no partitions: ${problem}`);
    this.#workers.set(id, { record, at: this.#listened });
    return this.reports.take(record);
  }

  /** Assigns partitions anew, if that is due. @throws FencedError (rejects) */
  async assign(mayMove: boolean): Promise<void> {
    const { broker, clock, partitions, term: coordinator, isOver } = this.#options;
    const cell = new Cell<AssignmentRecord>(broker, ASSIGNMENT, isOver);
    // It waits for a broker that is away.
    await cell.read();
    const now = clock.now();
    this.#listened += Math.min(now - (this.#lookedAt ?? now), MOST_BETWEEN_MS);
    this.#lookedAt = now;
    const living = this.#living();
    const held = new Set([...this.#workers.values()].flatMap(({ record }) => record.holds));
    const placed = Array.from({ length: partitions }, (_, at) => ({
      assigned: this.#assigned[at] ?? '',
      isOwned: this.#assigned.length > 0 && held.has(at),
    }));
    const workers = assign(placed, living, mayMove);
    if (this.#assigned.length > 0 && workers.every((worker, at) => worker === this.#assigned[at])) return;
    const record = await cell.change((value) => {
      if (value && value.coordinator > coordinator)
        throw new FencedError('another coordinator has taken over');
      // A new coordinator leaves what it finds with those that live.
      if (this.#assigned.length === 0 && value?.workers.every((worker) => living.includes(worker)))
        return undefined;
      const isSame = value?.coordinator === coordinator && value.workers.join() === workers.join();
      return isSame ? undefined : { coordinator, workers };
    });
    this.#assigned = record.workers;
  }

  /** The workers that live and can run the application. Forgets those that are gone. */
  #living(): string[] {
    const { broker, log } = this.#options;
    const living: string[] = [];
    for (const { record, silent } of this.known) {
      const { id, beat, isReady, holds } = record;
      if (beat >= 0 && silent < SILENT_MS) {
        // One that has partitions runs them with the version before until the next one is ready.
        if (isReady || holds.length > 0) living.push(id);
        continue;
      }
      if (beat >= 0) log(`worker ${id} is silent: its partitions go to others`);
      this.#workers.delete(id);
      this.reports.forget(id);
      // A worker that lives writes it again. One that stays is forgotten by the next coordinator.
      broker.forget(workerKey(id)).catch(() => {});
    }
    return living;
  }
}

/**
 * Workers in turns, so that at most half of a machine's cores load models at once: workers of other machines do not wait for
 * each other, and the records that pass meanwhile have the other half. No turn is empty. Pure.
 */
export function turnsOf(workers: readonly Pick<WorkerRecord, 'id' | 'machine'>[]): string[][] {
  const machines = new Map<string, { readonly ids: string[]; cores: number }>();
  for (const { id, machine } of workers) {
    const found = machines.get(machine.name) ?? { ids: [], cores: 0 };
    found.ids.push(id);
    // A container may use some of the cores of its machine.
    found.cores = Math.max(found.cores, machine.cores);
    machines.set(machine.name, found);
  }
  const turns: string[][] = [];
  for (const { ids, cores } of machines.values()) {
    const atOnce = Math.max(1, Math.floor(cores / 2));
    for (let at = 0; at * atOnce < ids.length; at += 1)
      turns[at] = [...(turns[at] ?? []), ...ids.slice(at * atOnce, (at + 1) * atOnce)];
  }
  return turns;
}

/** A partition, as the choice of its worker sees it. */
export interface Placed {
  /** The worker that it is assigned to; '' for none. */
  readonly assigned: string;
  /** Whether some worker owns it now. */
  readonly isOwned: boolean;
}

/**
 * The worker of each partition. Workers that are gone lose theirs at once. One that has more than its share gives back one
 * at a time: '' asks for that, and the partition is assigned again when nobody owns it. So a partition that moves is closed
 * at a checkpoint first. Pure.
 *
 * @param mayMove whether partitions of living workers may move now
 */
export function assign(partitions: readonly Placed[], living: readonly string[], mayMove: boolean): string[] {
  const workers = [...living].sort();
  const counts = new Map(workers.map((worker) => [worker, 0]));
  const assigned = partitions.map((placed) => (counts.has(placed.assigned) ? placed.assigned : ''));
  for (const worker of assigned) if (worker !== '') counts.set(worker, (counts.get(worker) ?? 0) + 1);
  const byCount = () => [...counts].sort(([, a], [, b]) => a - b);
  for (const [at, { assigned: before, isOwned }] of partitions.entries()) {
    if (assigned[at] !== '') continue;
    // It is being given back by a living worker.
    if (before === '' && isOwned) continue;
    const [least] = byCount();
    if (!least) break;
    assigned[at] = least[0];
    counts.set(least[0], least[1] + 1);
  }
  const isMoving = assigned.includes('');
  const [least, most] = [byCount()[0], byCount().at(-1)];
  if (mayMove && !isMoving && least && most && most[1] - least[1] > 1)
    assigned[assigned.lastIndexOf(most[0])] = '';
  return assigned;
}
