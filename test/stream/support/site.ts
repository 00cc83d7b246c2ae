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

/** Disk, sinks and hosts of an application: they outlive its process. Each operation ends when chaos lets it. */
export class Site {
  readonly #chaos: Chaos;
  readonly logs = new Map<string, LoggedRecord[]>();
  /** All records ever, by source. */
  readonly records = new Map<string, SourceRecord[]>();
  /** Offsets that a sender was told of. */
  readonly acknowledged: { source: string; offset: number; value: number }[] = [];
  readonly checkpoints: StoredCheckpoint[] = [];
  readonly written: string[] = [];
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
      openLog: async (source) => this.#openLog(source, later),
      openSink: async (name, _, mark) => this.#openSink(name, mark, later),
      openSource: async () => ({ close: async () => {} }),
      runner: arithmeticRunner(later, this),
    };
  }

  #openLog(source: string, later: Later): SourceLog {
    const logged = this.logs.get(source) ?? [];
    this.logs.set(source, logged);
    const ever = this.records.get(source) ?? [];
    this.records.set(source, ever);
    const log: SourceLog = {
      get end() {
        return logged.length;
      },
      get bytes() {
        return logged.length;
      },
      append: (record: NewRecord) =>
        later(() => {
          const offset = logged.length;
          logged.push({ ...record, offset });
          ever.push({ key: record.key, value: numberOf(record.values.x) });
          return offset;
        }),
      cursor: (from) => {
        let at = from;
        return { next: async () => (at < logged.length ? logged[at++] : undefined), close: async () => {} };
      },
      trim: async () => {},
      delete: async () => {},
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
