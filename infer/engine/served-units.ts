import { statSync } from 'node:fs';
import type { Clock } from '../../link/machine/timer.js';
import { hashFile, type LearnedStore } from '../learned/learned-store.js';
import type { Dispatcher } from './dispatcher.js';
import { learn } from './learning.js';
import type { Unit } from './request/unit.js';
import type { UnitModels } from './unit-models.js';

export interface ServedUnitsOptions {
  readonly dispatcher: Dispatcher;
  /** Keeps the figures that are learned; undefined: they are kept nowhere. */
  readonly store: LearnedStore | undefined;
  readonly clock: Clock;
  log(message: string): void;
}

/** How long after a run to write the learned figures, in milliseconds. */
const WRITE_AFTER = 30_000;

/** The models of a unit, and the hash of its file, under which their learned figures are on disk. */
interface Kept {
  readonly hash: string;
  readonly models: UnitModels;
}

/** Puts units into service, takes them out when their last request has ended, and keeps what was learned of them. */
export class ServedUnits {
  readonly #dispatcher: Dispatcher;
  readonly #store: LearnedStore | undefined;
  readonly #clock: Clock;
  readonly #log: (message: string) => void;
  /** Served units whose file has a hash. */
  readonly #kept = new Map<Unit, Kept>();
  /** Units that serve no new request, and go when their last one has ended. */
  readonly #leaving = new Map<Unit, () => void>();
  /** By name, how often a file was read. */
  readonly #readings = new Map<string, number>();
  #writesLater = false;

  constructor({ dispatcher, store, clock, log }: ServedUnitsOptions) {
    this.#dispatcher = dispatcher;
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** A key for a unit that is read now. No unit had it before. */
  keyOf(name: string): string {
    const before = this.#readings.get(name) ?? 0;
    this.#readings.set(name, before + 1);
    return before === 0 ? name : `${name}+${before}`;
  }

  /** Puts a model into service: its requests may come, but it is loaded and learned first. @throws InferenceError */
  async load(unit: Unit, file: string): Promise<void> {
    const store = this.#store;
    // The store knows the costs of a file's runs on one host. They say nothing of runs over several hosts.
    const isKept = store !== undefined && unit.isOnGpu;
    const hash = isKept ? await hashFile(file) : '';
    const models = this.#dispatcher.serve(unit, isKept ? store.read(hash) : undefined, statSync(file).size);
    if (isKept) this.#kept.set(unit, { hash, models });
    await this.#dispatcher.load(unit);
    await learn(unit, models, this.#dispatcher, this.#log);
    this.#writeLater();
  }

  /** Puts a function into service. It is loaded with its first run. */
  serve(unit: Unit): void {
    this.#dispatcher.serve(unit);
  }

  /** Withdraws a unit when its last request has ended. */
  async retire(unit: Unit): Promise<void> {
    await this.idle(unit);
    this.withdraw(unit);
  }

  /** Waits until no request has a unit any more. */
  idle(unit: Unit): Promise<void> {
    if (unit.users === 0) return Promise.resolve();
    return new Promise((resolve) => this.#leaving.set(unit, resolve));
  }

  /** Takes a unit out of service: requests that wait for it are refused. */
  withdraw(unit: Unit): void {
    const kept = this.#kept.get(unit);
    if (kept) this.#store?.write(kept.hash, kept.models.learned);
    this.#kept.delete(unit);
    this.#dispatcher.withdraw(unit);
  }

  /** A request has ended, with a result or without. */
  requestEnded(): void {
    this.#writeLater();
    for (const [unit, resolve] of this.#leaving) {
      if (unit.users > 0) continue;
      this.#leaving.delete(unit);
      resolve();
    }
  }

  #writeLater(): void {
    if (this.#writesLater || this.#kept.size === 0) return;
    this.#writesLater = true;
    this.#clock.after(WRITE_AFTER, () => {
      this.#writesLater = false;
      this.write();
    });
  }

  /** Writes the figures that were learned until now. */
  write(): void {
    for (const { hash, models } of this.#kept.values()) this.#store?.write(hash, models.learned);
  }
}
