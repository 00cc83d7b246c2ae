import { contentIn } from '../broker/appender.js';
import { type Broker, messagesFrom } from '../broker/broker.js';
import type { Target } from '../sinks/open-sink.js';
import type { Sink } from '../sinks/sink.js';
import { type Delivery, deliveryIn } from './partition-outputs.js';
import { OUTPUTS } from './records.js';

/** How far outputs were delivered: all messages up to a sequence, and where each sink stood then. */
export interface DeliveredState {
  readonly delivered: number;
  readonly marks: ReadonlyMap<string, unknown>;
}

export interface DeliveriesOptions {
  readonly broker: Broker;
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

/** Hands outputs of all partitions to the sinks, in the order of the stream. */
export class Deliveries {
  readonly #options: DeliveriesOptions;
  readonly #sinks = new Map<string, Sink>();
  readonly #marks: Map<string, unknown>;
  readonly #counts = new Map<string, number>();
  #delivered: number;
  /** Rejects when a sink can never take an output, or there is a bug. */
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
    const { broker, isOver, mayWrite, delivered } = this.#options;
    try {
      for await (const message of messagesFrom(broker, OUTPUTS, undefined, this.#delivered + 1, isOver)) {
        const delivery = deliveryIn(contentIn(message));
        if (delivery) {
          const sink = await this.#sink(delivery.target);
          await mayWrite();
          if (isOver()) return;
          await sink.write(delivery.outputs);
          // With the sequence below, in one turn: a mark that is ahead of it would hide outputs that come again.
          this.#marks.set(JSON.stringify(delivery.target), sink.mark());
          const { sink: name, outputs } = delivery;
          this.#counts.set(name, (this.#counts.get(name) ?? 0) + outputs.length);
          delivered(message.partition, delivery);
        }
        this.#delivered = message.sequence;
      }
    } catch (error) {
      if (!isOver()) throw error;
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
