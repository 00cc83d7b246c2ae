import { closeSync, openSync, readSync, statSync } from 'node:fs';
import type { Line } from './cluster.js';

/** When the lines of a file come, of records that versions have marked. */
export class Arrivals {
  readonly #file: string;
  readonly #timer: NodeJS.Timeout;
  #at = 0;
  #rest = '';
  /** By key, when its last line came. */
  readonly #latest = new Map<string, number>();
  #last: number | undefined;
  #longest = 0;
  #latestBy = 0;
  /** By key, the milliseconds from one record to the next. */
  periods: ReadonlyMap<string, number> = new Map();
  /** By key, the mark of its last line. */
  readonly marks = new Map<string, number>();
  count = 0;

  constructor(file: string) {
    this.#file = file;
    this.#timer = setInterval(() => this.#look(), 5);
  }

  get gaps(): string {
    return `at most ${this.#longest.toFixed(0)} ms without an output, one of a microphone at most ${this.#latestBy.toFixed(0)} ms late`;
  }

  /** The gaps from now on count. */
  forget(): void {
    this.#longest = 0;
    this.#latestBy = 0;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const size = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0;
    if (size === this.#at) return;
    const file = openSync(this.#file, 'r');
    const bytes = Buffer.alloc(size - this.#at);
    this.#at += readSync(file, bytes, 0, bytes.length, this.#at);
    closeSync(file);
    const lines = (this.#rest + bytes.toString()).split('\n');
    this.#rest = lines.pop() ?? '';
    const now = performance.now();
    for (const line of lines) {
      const { key, values } = JSON.parse(line) as Line<{ mark: number }>;
      this.#longest = Math.max(this.#longest, now - (this.#last ?? now));
      const due = (this.#latest.get(key) ?? now) + (this.periods.get(key) ?? 0);
      this.#latestBy = Math.max(this.#latestBy, now - due);
      this.#latest.set(key, now);
      this.marks.set(key, values.mark);
      this.#last = now;
    }
    this.count += lines.length;
  }
}
