import { seeded } from '../../support/random/seeded.js';

/** Random choices, the same for the same seed. */
export class Random {
  readonly #next: () => number;

  constructor(seed: number) {
    this.#next = seeded(seed);
  }

  /** A whole number from 0 to below this. */
  below(count: number): number {
    return Math.floor(this.#next() * count);
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  is(percent: number): boolean {
    return this.below(100) < percent;
  }
}

interface Waiting {
  readonly life: number;
  act(): void;
}

/**
 * Operations that end in a random order. An operation that waits when its process is killed has no effect, or has it
 * without the process knowing.
 */
export class Chaos {
  readonly random: Random;
  readonly #waiting: Waiting[] = [];
  /** Which life of the process it is. */
  life = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0;
  }

  /**
   * Resolves at a random moment, with what `act` returns then; never if the process of this life is killed before. A
   * process that was killed does nothing more.
   */
  later<T>(act: () => T, life = this.life): Promise<T> {
    return new Promise((resolve, reject) => {
      if (life !== this.life) return;
      this.#waiting.push({
        life,
        act: () => {
          try {
            resolve(act());
          } catch (error) {
            reject(error);
          }
        },
      });
    });
  }

  /** Ends one operation, and lets those who waited for it go on. */
  async step(): Promise<void> {
    const [waiting] = this.#waiting.splice(this.random.below(this.#waiting.length), 1);
    if (waiting?.life === this.life) waiting.act();
    await settled();
  }

  /** Ends all operations, and those that come of them. */
  async drain(): Promise<void> {
    for (;;) {
      await settled();
      if (this.isIdle) return;
      await this.step();
    }
  }

  kill(): void {
    // Some operations reach the disk although the process is gone.
    for (const waiting of this.#waiting.splice(0)) if (this.random.is(50)) waiting.act();
    this.life += 1;
  }
}

/** Lets everything run that waits for nothing but promises. */
export async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
