import { randomUUID } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import { type Broker, FencedError, insist, tidy } from '../../broker/broker.js';
import { Cell } from '../../broker/cell.js';
import { Serial } from '../../run/serial.js';
import { FRONT, type FrontRecord } from '../records.js';
import type { DeliveredState } from './deliveries.js';
import type { ReadState } from './intake.js';

/** How far sources and sinks have come: the object of a `FrontRecord`. */
export interface StoredFront extends DeliveredState {
  readonly sources: ReadonlyMap<string, ReadState>;
}

/** Stores at the broker how far sources and sinks have come, for the next coordinator. */
export class FrontStore {
  readonly #broker: Broker;
  /** The term of this coordinator. */
  readonly #coordinator: number;
  readonly #isOver: () => boolean;
  readonly #cell: Cell<FrontRecord>;
  readonly #storing = new Serial();
  /** The name of the object that was stored last. */
  #object: string | undefined;
  /** The state that the coordinator before has stored. */
  readonly before: StoredFront | undefined;

  static async load(broker: Broker, coordinator: number, isOver: () => boolean): Promise<FrontStore> {
    const cell = new Cell<FrontRecord>(broker, FRONT, isOver);
    const object = (await cell.read())?.object;
    const bytes = object && (await insist(broker, isOver, () => broker.get(object)));
    const before = bytes ? (deserialize(bytes) as StoredFront) : undefined;
    return new FrontStore(broker, coordinator, isOver, cell, object, before);
  }

  private constructor(
    broker: Broker,
    coordinator: number,
    isOver: () => boolean,
    cell: Cell<FrontRecord>,
    object: string | undefined,
    before: StoredFront | undefined,
  ) {
    this.#broker = broker;
    this.#coordinator = coordinator;
    this.#isOver = isOver;
    this.#cell = cell;
    this.#object = object;
    this.before = before;
  }

  /** Stores the state that `now` returns, after all stores before. @throws FencedError (rejects) */
  store(now: () => StoredFront): Promise<void> {
    return this.#storing.run(() => this.#store(now()));
  }

  /** Deletes objects that coordinators before have left. Once this one has stored, they can name none any more. */
  tidy(): Promise<void> {
    return this.#storing.run(() => tidy(this.#broker, 'front.', this.#object));
  }

  async #store(front: StoredFront): Promise<void> {
    const [broker, coordinator, before] = [this.#broker, this.#coordinator, this.#object];
    const { sources, delivered } = front;
    const object = `front.${coordinator}.${randomUUID()}`;
    const bytes = serialize(front);
    await insist(broker, this.#isOver, () => broker.put(object, bytes));
    const read = Object.fromEntries([...sources].map(([name, { read }]) => [name, read]));
    await this.#cell.change((record) => {
      if (record && record.coordinator > coordinator)
        throw new FencedError('another coordinator has taken over');
      return record?.object === object ? undefined : { coordinator, read, delivered, object };
    });
    this.#object = object;
    // One that stays is deleted by the next coordinator.
    if (before !== undefined) await broker.delete(before).catch(() => {});
  }
}
