import { contentIn } from '../../broker/appender.js';
import { type Broker, batchesFrom, insist, LostError } from '../../broker/broker.js';
import type { Target } from '../../sinks/open-sink.js';
import type { Sink } from '../../sinks/sink.js';
import { type Delivery, deliveryIn } from '../partition-outputs.js';
import { OUTPUTS } from '../records.js';

/** How far outputs were delivered: all messages up to a sequence, and where each sink stood then. */
export interface DeliveredState {
  readonly delivered: number;
  readonly marks: ReadonlyMap<string, unknown>;
}

export interface DeliveriesOptions {
  readonly broker: Broker;
  readonly partitions: number;
  /** Opens a sink, which may have had outputs since this mark. */
  openSink(target: Target, mark: unknown): Promise<Sink>;
  /** Stores how far this has come: before a sink gets its first output, so that a restart knows where it stood then. */
  store(): Promise<void>;
  /** Resolves when this coordinator may write: it does not know of another one. */
  mayWrite(): Promise<void>;
  isOver(): boolean;
  /** Called when a sink has these outputs of a partition. */
  delivered(partition: number, delivery: Delivery): void;
}

type PartitionDelivery = Delivery & { readonly partition: number };

/** Hands outputs of all partitions to the sinks, in the order of the stream. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #sinks = new Map<string, Sink>();
  readonly #marks: Map<string, unknown>;
  readonly #counts = new Map<string, number>();
  #delivered: number;
  /** Rejects when a sink can never take an output, outputs were lost, or there is a bug. */
  readonly done: Promise<void>;

  constructor(options: DeliveriesOptions, before: DeliveredState | undefined) {
    this.#options = options;
    this.#delivered = before?.delivered ?? 0;
    this.#marks = new Map(before?.marks);
    this.done = this.#deliverAll();
  }

  get state(): DeliveredState {
    return { delivered: this.#delivered, marks: new Map(this.#marks) };
  }

  /** By the name of a sink, its outputs since the start. */
  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sinks.values()].map((sink) => sink.close()));
    // Its error went to the coordinator.
    await this.done.catch(() => {});
  }

  async #deliverAll(): Promise<void> {
    const { broker, isOver } = this.#options;
    try {
      const end = await this.#end();
      if (end < this.#delivered) throw new LostError(OUTPUTS, undefined, this.#delivered, end);
      for await (const batch of batchesFrom(broker, OUTPUTS, undefined, this.#delivered + 1, isOver)) {
        const byTarget = new Map<string, { target: Target; deliveries: PartitionDelivery[] }>();
        for (const message of batch) {
          const delivery = deliveryIn(contentIn(message));
          if (!delivery) continue;
          const { target } = delivery;
          const id = JSON.stringify(target);
          const group = byTarget.get(id) ?? { target, deliveries: [] };
          byTarget.set(id, group);
          group.deliveries.push({ ...delivery, partition: message.partition });
        }
        for (const { target, deliveries } of byTarget.values()) await this.#write(target, deliveries);
        if (isOver()) return;
        this.#delivered = batch.at(-1)?.sequence ?? this.#delivered;
        // A mark that is ahead of the sequence would hide outputs that come again. So both change in one turn, and marks
        // stay while sinks may have outputs of later messages.
        if (this.#delivered >= end) for (const [id, sink] of this.#sinks) this.#marks.set(id, sink.mark());
      }
    } catch (error) {
      if (!isOver()) throw error;
    }
  }

  /** The sequence up to which the coordinator before may have delivered: that of the last message now. */
  async #end(): Promise<number> {
    const { broker, partitions, isOver } = this.#options;
    const numbers = Array.from({ length: partitions }, (_, at) => at);
    const last = await Promise.all(
      numbers.map((at) => insist(broker, isOver, () => broker.last(OUTPUTS, at))),
    );
    return Math.max(0, ...last.map((message) => message?.sequence ?? 0));
  }

  /** Hands deliveries of one target on. */
  async #write(target: Target, deliveries: readonly PartitionDelivery[]): Promise<void> {
    const { isOver, mayWrite, delivered } = this.#options;
    const sink = await this.#sink(target);
    // A file waits for the disk at each write. Others take one output after the other anyhow.
    const isFile = target.kind === 'file' || target.kind === 'errors';
    for (const part of isFile ? [deliveries] : deliveries.map((each) => [each])) {
      await mayWrite();
      if (isOver()) return;
      await sink.write(part.flatMap(({ outputs }) => outputs));
      for (const { partition, ...delivery } of part) {
        const { sink: name, outputs } = delivery;
        this.#counts.set(name, (this.#counts.get(name) ?? 0) + outputs.length);
        delivered(partition, delivery);
      }
    }
  }

  async #sink(target: Target): Promise<Sink> {
    const id = JSON.stringify(target);
    let sink = this.#sinks.get(id);
    if (sink) return sink;
    const { openSink, store } = this.#options;
    sink = await openSink(target, this.#marks.get(id));
    this.#sinks.set(id, sink);
    if (!this.#marks.has(id)) {
      this.#marks.set(id, sink.mark());
      await store();
    }
    return sink;
  }
}
