import type { Tensor } from '../../infer/service/tensor.js';
import type { Definition } from '../definition/definition.js';
import { ERRORS, type WriteAction } from '../flow/flow.js';
import type { Output, Sink } from '../sinks/sink.js';
import { SinkWriter } from './sink-writer.js';

export interface OpenSinksOptions {
  /** Opens a sink, which may have had outputs since this mark. */
  openSink(name: string, definition: Definition, mark: unknown): Promise<Sink>;
  /** A sink has these outputs of an action. Each action that was given to `write` comes here once. */
  wrote(action: WriteAction<Tensor>, outputs: readonly Output[]): void;
  /** A sink can never take its outputs. */
  fail(error: unknown): void;
}

type Marks = ReadonlyMap<string, unknown>;

/**
 * The sinks that are open: those of the version that runs, and those of the next one while an upgrade is under way. A sink
 * that writes elsewhere is another one, though it has the same name.
 */
export class OpenSinks {
  readonly #options: OpenSinksOptions;
  /** By what tells sinks apart. */
  readonly #writers = new Map<string, SinkWriter>();

  constructor(options: OpenSinksOptions) {
    this.#options = options;
  }

  /** Opens the sinks of a version that are not open yet. @throws Error where one cannot be; those before it are (rejects) */
  async open(definition: Definition, marks: Marks = new Map()): Promise<void> {
    const { openSink, wrote, fail } = this.#options;
    for (const [id, name] of sinksOf(definition)) {
      if (this.#writers.has(id)) continue;
      const sink = await openSink(name, definition, marks.get(id));
      const refused = (action: WriteAction<Tensor>, message: string) => this.#refused(action, message);
      this.#writers.set(id, new SinkWriter(sink, { wrote, refused, fail }));
    }
  }

  /** Closes the sinks that this version does not have. */
  async closeAllBut(definition: Definition): Promise<void> {
    const kept = sinksOf(definition);
    for (const [id, { sink }] of this.#writers) {
      if (kept.has(id)) continue;
      await sink.close();
      this.#writers.delete(id);
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#writers.values()].map(({ sink }) => sink.close()));
  }

  write(action: WriteAction<Tensor>, definition: Definition): void {
    this.#writers.get(sinkId(action.sink, definition))?.write(action);
  }

  /** Where each sink stands now. */
  marks(): Map<string, unknown> {
    return new Map([...this.#writers].map(([id, { sink }]) => [id, sink.mark()]));
  }

  /** By the name of each sink of a version, how many outputs it has had. */
  counts(definition: Definition): { name: string; outputs: number }[] {
    return [...sinksOf(definition)].map(([id, name]) => {
      return { name, outputs: this.#writers.get(id)?.written ?? 0 };
    });
  }

  *[Symbol.iterator](): Generator<Sink> {
    for (const { sink } of this.#writers.values()) yield sink;
  }

  /** A record of which no outputs can be made goes to the errors. */
  #refused(action: WriteAction<Tensor>, message: string): void {
    const error = { step: `sink ${action.sink}`, message };
    this.#writers.get(ERRORS)?.write(action, { ...action, sink: ERRORS, values: {}, error });
  }
}

/** The sinks of a version, each with what tells it apart: its name, and where it writes to. */
function sinksOf(definition: Definition): Map<string, string> {
  const names = [...Object.keys(definition.sinks), ERRORS];
  return new Map(names.map((name) => [sinkId(name, definition), name]));
}

function sinkId(name: string, { sinks }: Definition): string {
  const sink = sinks[name];
  if (!sink) return name;
  if (sink.kind === 'nats') return `${name} nats ${sink.subject}`;
  if (sink.kind === 'page') return `${name} page`;
  return `${name} ${sink.kind === 'file' ? sink.file : sink.url}`;
}
