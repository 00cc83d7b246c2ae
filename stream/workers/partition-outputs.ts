import { deserialize, serialize } from 'node:v8';
import { type Appender, contentIn } from '../broker/appender.js';
import { type Broker, messagesFrom } from '../broker/broker.js';
import type { SinkDefinition } from '../definition/definition.js';
import { type Target, targetOf } from '../sinks/open-sink.js';
import { endsOf, identityOf, type Output, type Sink } from '../sinks/sink.js';
import { OUTPUTS } from './records.js';

/** Outputs, as a partition hands them on. */
export interface Delivery {
  readonly sink: string;
  readonly target: Target;
  readonly outputs: readonly Output[];
}

/** Room for what a message has beside its outputs. */
const FRAME_BYTES = 4096;

/**
 * The outputs of one partition, on their way to the coordinator, which has the sinks. Each gets into the stream exactly
 * once: after a fence nobody else can append, so the outputs that the owner before has written can be read.
 */
export class PartitionOutputs {
  readonly #broker: Broker;
  readonly #appender: Appender;
  /** The outputs that owners before have written since the last checkpoint. */
  readonly #had = new Set<string>();
  #hadUntil: ReadonlyMap<string, number> = new Map();

  /** @param from the sequence up to which no output can come again. */
  static async open(
    broker: Broker,
    partition: number,
    appender: Appender,
    from: number,
    isOver: () => boolean,
  ): Promise<PartitionOutputs> {
    const outputs = new PartitionOutputs(broker, appender);
    await outputs.#readAll(partition, from, isOver);
    return outputs;
  }

  private constructor(broker: Broker, appender: Appender) {
    this.#broker = broker;
    this.#appender = appender;
  }

  sink(name: string, definition: SinkDefinition | undefined): Sink {
    const target = targetOf(definition);
    return {
      write: (outputs) => this.#write(name, target, outputs),
      mark: () => this.#appender.sequence,
      hadUntil: this.#hadUntil,
      close: async () => {},
    };
  }

  async #write(sink: string, target: Target, outputs: readonly Output[]): Promise<void> {
    const fresh = outputs.filter((output) => !this.#had.has(idOf(output)));
    if (fresh.length === 0) return;
    const bytes = serialize({ sink, target, outputs: fresh } satisfies Delivery);
    if (bytes.length + FRAME_BYTES <= this.#broker.mostBytes) {
      await this.#appender.append(bytes);
      return;
    }
    if (fresh.length === 1)
      throw new Error(
        `an output of sink ${sink} has ${bytes.length} bytes, and NATS takes ${this.#broker.mostBytes}: raise its max_payload`,
      );
    const half = fresh.length >> 1;
    await this.#write(sink, target, fresh.slice(0, half));
    await this.#write(sink, target, fresh.slice(half));
  }

  async #readAll(partition: number, from: number, isOver: () => boolean): Promise<void> {
    const { sequence } = this.#appender;
    const identities = new Set<string>();
    for await (const message of messagesFrom(this.#broker, OUTPUTS, partition, from + 1, isOver)) {
      // The fence itself: the last one before anything of this owner.
      if (message.sequence >= sequence) {
        this.#hadUntil = endsOf(identities);
        return;
      }
      for (const output of deliveryIn(contentIn(message))?.outputs ?? []) {
        this.#had.add(idOf(output));
        identities.add(identityOf(output));
      }
    }
    throw new Error('the partition was released');
  }
}

export function deliveryIn(content: Uint8Array | undefined): Delivery | undefined {
  return content && (deserialize(content) as Delivery);
}

function idOf(output: Output): string {
  return `${output.sink}\n${identityOf(output)}`;
}
