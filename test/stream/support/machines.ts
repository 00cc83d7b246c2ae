import { deserialize } from 'node:v8';
import { contentIn } from '#farlight/stream/broker/appender.js';
import type { Definition } from '#farlight/stream/definition/definition.js';
import type { NewRecord } from '#farlight/stream/log/record-log.js';
import type { Target } from '#farlight/stream/sinks/open-sink.js';
import { identityOf, type Sink } from '#farlight/stream/sinks/sink.js';
import type { Feed, Source } from '#farlight/stream/sources/source.js';
import { Coordinator } from '#farlight/stream/workers/coordinator/coordinator.js';
import {
  APPLICATION,
  type ApplicationRecord,
  checkpointOf,
  type PartitionRecord,
  partitionKey,
  recordsOf,
} from '#farlight/stream/workers/records.js';
import { Worker, type WorkerObserver } from '#farlight/stream/workers/worker.js';
import { type Committed, oracle, type SourceRecord } from './arithmetic.js';
import { arithmeticRunner, lineFor, type RunnerFaults } from './arithmetic-runner.js';
import { MemoryBroker } from './memory-broker.js';
import { numberOf, tensorOf } from './numbers.js';
import type { Process, World } from './world.js';

/** The application's own source that can be read again from a position, as a folder can. */
export const COUNTED = 's';
/** How many records it has. */
export const COUNT = 25;

/** Machines that run one application over a broker: what outlives their processes, and the processes. */
export class Machines {
  readonly #world: World;
  readonly #partitions: number;
  readonly broker: MemoryBroker;
  readonly #definitions = new Map<string, Definition>();
  readonly acknowledged: { source: string; offset: number; record: SourceRecord }[] = [];
  readonly written: { line: string; id: string }[] = [];
  /** Versions that were committed, each with its cut by partition. */
  readonly commits: { definition: Definition; cuts: ReadonlyMap<string, number>[] }[] = [];
  /** Of the machine that all workers share. */
  cores = 1;
  failsToPrepare = false;
  failsToMigrate = false;
  #count = 0;
  #upgrade = -1;

  constructor(world: World, partitions: number) {
    this.#world = world;
    this.#partitions = partitions;
    this.broker = new MemoryBroker(world);
    this.broker.onWrite = (key, value) => {
      if (key === APPLICATION) this.#committed(deserialize(value) as ApplicationRecord);
    };
  }

  startWorker(
    observer?: WorkerObserver,
    faults: RunnerFaults = this,
  ): { process: Process; worker: Promise<Worker> } {
    this.#count += 1;
    const process = this.#world.process(`worker-${this.#count}`);
    const worker = Worker.open({
      broker: this.broker.for(process),
      id: process.name,
      machine: { name: 'machine', cores: this.cores },
      runner: arithmeticRunner((act) => this.#world.later(process, act), faults),
      versions: { local: (id) => this.#version(process, id) },
      clock: this.#world.clock(process),
      observer,
      checkpointEvery: 2000,
      log: () => {},
    });
    return { process, worker };
  }

  startCoordinator(first: Definition): { process: Process; coordinator: Promise<Coordinator> } {
    this.#count += 1;
    const process = this.#world.process(`coordinator-${this.#count}`);
    const coordinator = Coordinator.open(
      {
        broker: this.broker.for(process),
        id: process.name,
        place: process.name,
        partitions: this.#partitions,
        versions: {
          publish: (definition) =>
            this.#world.later(process, () => {
              this.#definitions.set(definition.id, definition);
              return definition;
            }),
          read: (id) => this.#version(process, id),
          local: (id) => this.#version(process, id),
        },
        clock: this.#world.clock(process),
        storeEvery: 3000,
        openSource: async (name, _, feed) => this.#openSource(process, name, feed),
        openSink: (target, mark) => this.#openSink(process, target, mark),
        log: () => {},
      },
      async () => first,
    );
    return { process, coordinator };
  }

  async send(
    coordinator: Coordinator,
    source: string,
    record: SourceRecord,
    traceparent?: string,
  ): Promise<void> {
    const offset = await coordinator.ingest(source, {
      key: record.key,
      values: { x: tensorOf(record.value) },
      ...(traceparent !== undefined && { traceparent }),
    });
    this.acknowledged.push({ source, offset, record });
  }

  /** All records that were logged, by source and partition; offsets have gaps. */
  records(partition: number): Map<string, SourceRecord[]> {
    const all = new Map<string, SourceRecord[]>();
    for (const [name, { ever }] of this.broker.streams) {
      if (!name.startsWith(recordsOf(''))) continue;
      const records: SourceRecord[] = [];
      for (const message of ever) {
        const content = contentIn(message);
        if (!content || message.partition !== partition) continue;
        const { key, values } = deserialize(content) as NewRecord;
        records[message.sequence] = { key, value: numberOf(values.x) };
      }
      all.set(name.slice(recordsOf('').length), records);
    }
    return all;
  }

  /** The lines of a run, record by record, that switches at the cuts that were committed. */
  expected(): string[] {
    const partitions = Array.from({ length: this.#partitions }, (_, partition) => {
      const records = this.records(partition);
      const ends = new Map([...records].map(([source, list]) => [source, list.length]));
      return this.#run(partition, ends).lines;
    });
    return partitions.flat().sort();
  }

  #run(partition: number, until: ReadonlyMap<string, number>) {
    const versions = this.commits.map(
      ({ definition, cuts }): Committed => ({ definition, cut: cuts[partition] ?? new Map() }),
    );
    return oracle(versions, this.records(partition), until);
  }

  /** The states in the last checkpoint of a partition, and those of such a run up to the checkpoint's cut. */
  states(partition: number): Record<'stored' | 'expected', Map<string, Map<string, number>>> {
    const entry = this.broker.keys.get(partitionKey(partition));
    const record = entry && (deserialize(entry.value) as PartitionRecord);
    const states = new Map<string, Map<string, number>>();
    if (!record) return { stored: states, expected: new Map() };
    const name = checkpointOf(record, this.#application()) ?? '';
    const stored = deserialize(this.broker.objects.get(name) as Uint8Array);
    for (const [uid, byKey] of stored.states)
      states.set(uid, new Map([...byKey].map(([key, { s }]: [string, { s: never }]) => [key, numberOf(s)])));
    return { stored: states, expected: this.#run(partition, stored.cut).states };
  }

  #application(): ApplicationRecord {
    return deserialize((this.broker.keys.get(APPLICATION) as { value: Uint8Array }).value);
  }

  #committed({ definition: id, upgrade }: ApplicationRecord): void {
    const definition = this.#definitions.get(id) as Definition;
    if (this.commits.length > 0 && this.#upgrade === upgrade) return;
    this.#upgrade = upgrade;
    const cuts: ReadonlyMap<string, number>[] = [];
    for (let partition = 0; upgrade > 0 && partition < this.#partitions; partition += 1) {
      const { value } = this.broker.keys.get(partitionKey(partition)) as { value: Uint8Array };
      const { prepared } = deserialize(value) as PartitionRecord;
      if (prepared?.upgrade !== upgrade) throw new Error(`partition ${partition} was not prepared`);
      cuts.push(deserialize(this.broker.objects.get(prepared.checkpoint) as Uint8Array).cut);
    }
    this.commits.push({ definition, cuts });
  }

  async #version(process: Process, id: string): Promise<Definition> {
    return this.#world.later(process, () => {
      const definition = this.#definitions.get(id);
      if (!definition) throw new Error(`there is no version ${id}`);
      return definition;
    });
  }

  /** One of them gives numbers in turn to three keys, from its positions on. */
  #openSource(process: Process, name: string, feed: Feed): Source {
    let isOpen = name === COUNTED;
    const run = async () => {
      for (
        let n = 1 + Math.max(-1, ...[...feed.positions.values()].map(Number));
        isOpen && n < COUNT;
        n += 1
      ) {
        await new Promise<void>((resolve) => this.#world.clock(process).after(300, resolve));
        if (!isOpen) return;
        await feed.ingest({ key: `n${n % 3}`, values: { x: tensorOf(n) }, position: n });
      }
    };
    // The coordinator that was killed or fenced has no use for it.
    run().catch(() => {});
    return {
      close: async () => {
        isOpen = false;
      },
    };
  }

  /** Takes outputs as a file does: after a restart it looks at what came after the mark. */
  async #openSink(process: Process, target: Target, mark: unknown): Promise<Sink> {
    const name = JSON.stringify(target);
    const mine = () => this.written.filter(({ id }) => id.startsWith(name));
    const had = new Set(
      mine()
        .slice((mark as number | undefined) ?? Number.POSITIVE_INFINITY)
        .map(({ id }) => id),
    );
    let length = mine().length;
    return {
      write: (outputs) =>
        this.#world.later(process, () => {
          for (const output of outputs) {
            const id = `${name} ${output.sink} ${identityOf(output)}`;
            if (had.has(id)) continue;
            this.written.push({ line: lineFor(output), id });
            length += 1;
          }
        }),
      mark: () => length,
      close: async () => {},
    };
  }
}
