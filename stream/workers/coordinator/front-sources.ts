import { invariant } from '../../../proto/errors.js';
import { type Broker, LostError } from '../../broker/broker.js';
import type { Definition } from '../../definition/definition.js';
import type { UpgradePlan } from '../../definition/upgrade-plan.js';
import type { NewRecord } from '../../log/record-log.js';
import type { SourceHealth } from '../../run/status.js';
import { RunningSource } from '../../sources/running-source.js';
import type { Feed, Source } from '../../sources/source.js';
import { Intake, type IntakeBefore, type ReadState } from './intake.js';

export interface FrontSourcesOptions {
  readonly broker: Broker;
  /** A version, with its files on this machine. */
  local(id: string): Promise<Definition>;
  /** Checks a source before an upgrade that brings it is committed. @throws Error that says why it cannot start (rejects) */
  checkSource?(name: string, definition: Definition): Promise<void>;
  openSource(name: string, definition: Definition, feed: Feed): Promise<Source>;
  /** A record is in the log of its source. */
  logged(source: string, partition: number, offset: number): void;
  /** Records are gone that were logged. */
  lost(error: LostError): void;
  /** Whether the coordinator has ended: then nothing is opened any more. */
  isOver(): boolean;
}

/**
 * The sources of an application whose work is shared, each with the intake that logs its records. An intake is open before
 * its source starts, and until that has ended.
 */
export class FrontSources {
  readonly #options: FrontSourcesOptions;
  readonly #intakes = new Map<string, Intake>();
  readonly #running = new Map<string, RunningSource>();

  constructor(options: FrontSourcesOptions) {
    this.#options = options;
  }

  get intakes(): ReadonlyMap<string, Intake> {
    return this.#intakes;
  }

  /** How far each source has read. */
  get state(): Map<string, ReadState> {
    return new Map([...this.#intakes].map(([name, intake]) => [name, intake.state]));
  }

  health(source: string): SourceHealth {
    return this.#running.get(source)?.health ?? {};
  }

  /** Resolves with the record's offset once it is logged. @throws Error where it cannot be taken (rejects) */
  async ingest(source: string, record: NewRecord): Promise<number> {
    const intake = this.#intakes.get(source);
    if (!intake || this.#options.isOver()) throw new Error(`source ${source} takes no records`);
    const { offset, partition } = await intake.ingest(record).catch((error) => {
      if (error instanceof LostError) this.#options.lost(error);
      throw error;
    });
    this.#options.logged(source, partition, offset);
    return offset;
  }

  /** A worker takes these offsets of a partition next, by source. */
  begun(partition: number, next: Readonly<Record<string, number>>): void {
    for (const [source, offset] of Object.entries(next)) this.#intakes.get(source)?.begun(partition, offset);
  }

  /** Opens the log of a source, where it is not open yet. @throws LostError where records are gone (rejects) */
  async openIntake(source: string, partitions: number, before: IntakeBefore): Promise<void> {
    if (this.#intakes.has(source)) return;
    const { broker, isOver } = this.#options;
    this.#intakes.set(source, await Intake.open(broker, source, partitions, before, isOver));
  }

  /** Starts a source whose intake is open, as this version says. @throws Error where it cannot start (rejects) */
  async start(source: string, { id }: Definition): Promise<void> {
    if (this.#options.isOver()) return;
    const running = new RunningSource();
    this.#running.set(source, running);
    await running.start(() => this.#open(source, id));
  }

  /** Checks the sources that an upgrade brings or changes. @throws Error that says why one cannot start (rejects) */
  async check({ sources }: UpgradePlan, { id }: Definition): Promise<void> {
    const { checkSource, local } = this.#options;
    const names = sources.flatMap(({ name, change }) =>
      change === 'added' || change === 'changed' ? [name] : [],
    );
    if (!checkSource || names.length === 0) return;
    const definition = await local(id);
    for (const name of names) await checkSource(name, definition);
  }

  /** After an upgrade: sources that are new, gone, or have changed. @throws Error where one cannot start (rejects) */
  async follow({ sources }: UpgradePlan, definition: Definition): Promise<void> {
    for (const { name, change } of sources) {
      const running = this.#running.get(name);
      if (change === 'added') await this.start(name, definition);
      else if (change === 'changed')
        await running?.become(definition.sources[name], () => this.#open(name, definition.id));
      else if (change === 'removed') {
        await running?.close();
        this.#running.delete(name);
        this.#intakes.get(name)?.close();
        this.#intakes.delete(name);
      }
    }
  }

  /** Ends the sources. The intakes stay open: they log the records that the sources have given. */
  async stop(): Promise<void> {
    await Promise.all([...this.#running.values()].map((running) => running.close()));
  }

  /** Logs no more, and ends the sources. */
  async close(): Promise<void> {
    for (const intake of this.#intakes.values()) intake.close();
    await this.stop();
  }

  async #open(source: string, id: string): Promise<Source> {
    const intake = this.#intakes.get(source);
    invariant(intake, `source ${source} has no intake`);
    const definition = await this.#options.local(id);
    return this.#options.openSource(source, definition, {
      positions: intake.state.positions,
      ingest: (record) => this.ingest(source, record),
      backlog: () => intake.backlog,
    });
  }
}
