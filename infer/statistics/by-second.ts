/** Values of the last seconds, which may change. A second without anything takes no memory. */
export class BySecond<T> {
  readonly #most: number;
  readonly #make: (second: number) => T;
  /** The oldest comes first. */
  readonly #seconds = new Map<number, T>();

  /** @param most how many seconds are kept, the newest one included. */
  constructor(most: number, make: (second: number) => T) {
    this.#most = most;
    this.#make = make;
  }

  /** The value of this second. @param now milliseconds since 1970 */
  at(now: number): T {
    const second = Math.floor(now / 1000);
    let found = this.#seconds.get(second);
    if (found === undefined) {
      found = this.#make(second);
      this.#seconds.set(second, found);
      for (const oldest of this.#seconds.keys()) {
        if (oldest > second - this.#most) break;
        this.#seconds.delete(oldest);
      }
    }
    return found;
  }

  /** The value of this second, if it has one. @param now milliseconds since 1970 */
  known(now: number): T | undefined {
    return this.#seconds.get(Math.floor(now / 1000));
  }

  /** Each second that has a value, the oldest first. */
  [Symbol.iterator](): Iterator<[second: number, value: T]> {
    return this.#seconds.entries();
  }
}
