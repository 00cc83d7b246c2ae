import type { Definition } from '#farlight/stream/definition/definition.js';
import type { LoggedRecord, NewRecord, SourceLog } from '#farlight/stream/log/record-log.js';
import {
  Application,
  type ApplicationOptions,
  type StoredCheckpoint,
} from '#farlight/stream/run/application.js';
import { endsOf, identityOf, type Output, type Sink } from '#farlight/stream/sinks/sink.js';
import type { Committed, SourceRecord } from './arithmetic.js';
import { arithmeticRunner, lineFor } from './arithmetic-runner.js';
import type { Chaos } from './chaos.js';
import { numberOf, tensorOf } from './numbers.js';

type Later = <T>(act: () => T) => Promise<T>;

/** The log of a source, from the offset on at which it began. */
interface DiskLog {
  readonly first: number;
  readonly records: LoggedRecord[];
}

function endOf({ first, records }: DiskLog): number {
  return first + records.length;
}

/** Disk, sinks and hosts of an application: they outlive its process. Each operation ends when chaos lets it. */
export class Site {
  readonly #chaos: Chaos;
  readonly #logs = new Map<string, DiskLog>();
  /** All records ever, by source. */
  readonly records = new Map<string, SourceRecord[]>();
  /** Offsets that a sender was told of. */
  acknowledged: { source: string; offset: number; value: number }[] = [];
  readonly checkpoints: StoredCheckpoint[] = [];
  readonly written: string[] = [];
  /** By source, how far it had read when it was started last. */
  readonly startedAt = new Map<string, ReadonlyMap<string, unknown>>();
  /** By sink, the outputs that it has. */
  readonly #had = new Map<string, string[]>();
  /** Whether the next checkpoint fails, and so on. */
  failsToStore = false;
  failsToPrepare = false;
  failsToMigrate = false;

  constructor(chaos: Chaos) {
    this.#chaos = chaos;
  }

  open(first: Definition): Promise<Application> {
    return Application.open(this.#options(), async () => first);
  }

  /** The versions that were committed, each with its cut. */
  get committed(): Committed[] {
    return this.checkpoints.filter(
      ({ definition }, at) => definition.id !== this.checkpoints[at - 1]?.definition.id,
    );
  }

  /** By source, the offset behind its last record. */
  get ends(): Map<string, number> {
    return new Map([...this.#logs].map(([source, log]) => [source, endOf(log)]));
  }

  async send(application: Application, source: string, record: SourceRecord): Promise<void> {
    const values = { x: tensorOf(record.value) };
    const offset = await application.ingest(source, { key: record.key, values });
    this.acknowledged.push({ source, offset, value: record.value });
  }

  #options(): ApplicationOptions {
    const { random, life } = this.#chaos;
    const later = <T>(act: () => T) => this.#chaos.later(act, life);
    return {
      window: 1 + random.below(12),
      // Tests ask for checkpoints.
      clock: { now: () => 0, after: () => {} },
      log: () => {},
      checkpoints: {
        latest: async () => this.checkpoints.at(-1),
        store: (checkpoint) => {
          // A disk has what was there when it was written.
          const copy = structuredClone(checkpoint);
          return later(() => {
            if (this.failsToStore) throw new Error('the disk is full');
            this.checkpoints.push(copy);
          });
        },
      },
      openLog: async (source, from) => this.#openLog(source, from, later),
      openSink: async (name, _, mark) => this.#openSink(name, mark, later),
      openSource: async (source, _, { positions }) => {
        this.startedAt.set(source, positions);
        return { close: async () => {} };
      },
      runner: arithmeticRunner(later, this),
    };
  }

  #openLog(source: string, from: number, later: Later): SourceLog {
    const disk = this.#logs.get(source) ?? { first: from, records: [] };
    this.#logs.set(source, disk);
    const ever = this.records.get(source) ?? [];
    this.records.set(source, ever);
    const log: SourceLog = {
      get end() {
        return endOf(disk);
      },
      get bytes() {
        return disk.records.length;
      },
      append: (record: NewRecord) =>
        later(() => {
          if (this.#logs.get(source) !== disk) throw new Error('the log is closed');
          const offset = endOf(disk);
          disk.records.push({ ...record, offset });
          ever[offset] = { key: record.key, value: numberOf(record.values.x) };
          return offset;
        }),
      cursor: (first) => {
        let at = first;
        return {
          next: async () => (at < endOf(disk) ? disk.records[at++ - disk.first] : undefined),
          close: async () => {},
        };
      },
      trim: async () => {},
      // Records that wait may go with their source.
      delete: async () => {
        this.#logs.delete(source);
        this.acknowledged = this.acknowledged.filter((each) => each.source !== source);
      },
      close: async () => {},
    };
    return log;
  }

  /** Takes outputs as a file does: after a restart it looks at what came after the mark. Not each sink can say how far that is. */
  #openSink(name: string, mark: unknown, later: Later): Sink {
    const all = this.#had.get(name) ?? [];
    this.#had.set(name, all);
    const had = new Set(all.slice((mark as number | undefined) ?? all.length));
    return {
      write: (outputs: readonly Output[]) =>
        later(() => {
          for (const output of outputs) {
            if (had.has(identityOf(output))) continue;
            all.push(identityOf(output));
            this.written.push(lineFor(output));
          }
        }),
      mark: () => all.length,
      ...(this.#chaos.random.is(75) && { hadUntil: endsOf(had) }),
      close: async () => {},
    };
  }
}
