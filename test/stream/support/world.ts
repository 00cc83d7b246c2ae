import { Random, settled } from './chaos.js';

/** A process of a world: when it is killed, nothing of it goes on. */
export interface Process {
  readonly name: string;
  isDead: boolean;
  /** It does nothing for now, and does not know. */
  isStalled: boolean;
}

interface Waiting {
  readonly process: Process | undefined;
  act(): void;
}

interface Timer {
  readonly process: Process;
  readonly at: number;
  act(): void;
}

/** Several processes, whose operations end in a random order, and whose time passes as the test wants. */
export class World {
  readonly random: Random;
  #waiting: Waiting[] = [];
  #timers: Timer[] = [];
  time = 0;

  constructor(seed: number) {
    this.random = new Random(seed);
  }

  process(name: string): Process {
    return { name, isDead: false, isStalled: false };
  }

  /** Resolves at a random moment, with what `act` returns then. Never for a process that was killed. */
  later<T>(process: Process, act: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (process.isDead) return;
      const run = () => {
        try {
          resolve(act());
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ process, act: run });
    });
  }

  /** Something happens at a random moment, whoever lives then. */
  sometime(act: () => void): void {
    this.#waiting.push({ process: undefined, act });
  }

  clock(process: Process) {
    return {
      now: () => this.time,
      after: (ms: number, act: () => void) => {
        if (!process.isDead) this.#timers.push({ process, at: this.time + ms, act });
      },
    };
  }

  /** Ends one operation, or lets time pass until the next timer. */
  async step(): Promise<void> {
    const ready = this.#waiting.filter(({ process }) => !process?.isStalled);
    const timers = this.#timers.filter(({ process }) => !process.isStalled);
    if (ready.length > 0 && (timers.length === 0 || this.random.is(85))) {
      const next = this.random.of(ready);
      this.#waiting.splice(this.#waiting.indexOf(next), 1);
      next.act();
    } else if (timers.length > 0) {
      const next = timers.reduce((a, b) => (b.at < a.at ? b : a));
      this.#timers.splice(this.#timers.indexOf(next), 1);
      this.time = Math.max(this.time, next.at);
      next.act();
    }
    await settled();
  }

  /** Some operations of a process reach the broker or the disk although it is gone. */
  kill(process: Process): void {
    process.isDead = true;
    const mine = this.#waiting.filter((waiting) => waiting.process === process);
    this.#waiting = this.#waiting.filter((waiting) => waiting.process !== process);
    this.#timers = this.#timers.filter((timer) => timer.process !== process);
    for (const { act } of mine) if (this.random.is(50)) act();
  }
}
