import { deserialize, serialize } from 'node:v8';
import { type Broker, ConflictError, type Entry, insist } from './broker.js';

/** A value under a key of the broker, which is changed by compare-and-set. */
export class Cell<T> {
  readonly #broker: Broker;
  readonly #isOver: () => boolean;
  readonly key: string;

  /** `isOver` says that nobody waits for an answer any more. */
  constructor(broker: Broker, key: string, isOver: () => boolean) {
    this.#broker = broker;
    this.#isOver = isOver;
    this.key = key;
  }

  async read(): Promise<T | undefined> {
    return valueIn<T>(await insist(this.#broker, this.#isOver, () => this.#broker.read(this.key)));
  }

  /**
   * Changes the value. `next` gets the latest one and returns the new one, or undefined where nothing is to be changed.
   * Where an answer is lost it is asked again, so it must see by the value that its change was made.
   *
   * @returns the value after it
   * @throws what `next` throws (rejects)
   */
  async change(next: (value: T | undefined) => T | undefined): Promise<T> {
    for (;;) {
      const entry = await insist(this.#broker, this.#isOver, () => this.#broker.read(this.key));
      const value = valueIn<T>(entry);
      const changed = next(value);
      if (changed === undefined) return value as T;
      try {
        await this.#broker.write(this.key, serialize(changed), entry?.revision ?? 0);
        return changed;
      } catch (error) {
        if (this.#isOver()) throw error;
        if (!(error instanceof ConflictError)) await this.#broker.rest();
      }
    }
  }
}

export function valueIn<T>(entry: Entry | undefined): T | undefined {
  return entry && (deserialize(entry.value) as T);
}
