import { SPAN } from '../../../proto/activity.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import { COMPILED } from '../reuse/compile-times.js';
import type { Activity } from './tracer.js';

/** What took so long to compile is told of at once, in milliseconds. */
const LONG_MS = 10;

/** What of a command says whom it is about. */
interface Named {
  readonly operation: AnyOperation;
  readonly args: readonly unknown[];
}

/** One session's spans: counts its batches and frames, and puts the names in. */
export class SessionActivity {
  readonly #activity: Activity;
  #batches = 0;
  #frames = 0;
  /** When the batch began that is coming in. */
  #since: number | undefined;

  constructor(activity: Activity) {
    this.#activity = activity;
  }

  /** A frame came that is not its batch's last. */
  part(): void {
    if (this.#activity.watches(SPAN.received)) this.#since ??= this.#activity.now();
  }

  /** Carries out a batch that is complete. What `run` throws comes through. */
  batch(bytes: number, run: () => void): void {
    this.#batches += 1;
    const activity = this.#activity;
    if (!activity.watches(SPAN.received) && !activity.watches(SPAN.executed)) {
      run();
      return;
    }
    const start = activity.now();
    const number = this.#batches;
    activity.add(SPAN.received, { start: this.#since ?? start, end: start, number, bytes });
    this.#since = undefined;
    run();
    activity.add(SPAN.executed, { start, number, bytes });
  }

  /** An awaited command is carried out. Returns what to call with its answer, where anybody watches. */
  awaited({ operation, args }: Named, self: object | undefined, number: number): (() => void) | undefined {
    const activity = this.#activity;
    if (!activity.watches(SPAN.awaited)) return undefined;
    const start = activity.now();
    const name = `${operation.interface}.${operation.member}`;
    const label = labelOf(operation.creates ? args[0] : self);
    return () => {
      activity.add(SPAN.awaited, { start, number, name, label });
      activity.flush();
    };
  }

  /** Whether anybody wants to know how long such a command takes to compile. */
  compiles({ operation }: Named): boolean {
    return this.#activity.watches(SPAN.compiled) && COMPILED.has(operation.creates);
  }

  /** Makes what such a command makes, or finds it, at once or later. What `make` throws comes through. */
  compile<T>({ operation, args }: Named, make: () => T): T {
    const activity = this.#activity;
    const start = activity.now();
    const label = labelOf(args[0]);
    const made = () => {
      activity.add(SPAN.compiled, { start, name: operation.creates ?? '', label });
      if (activity.now() - start >= LONG_MS) activity.flush();
    };
    let promise: Promise<unknown> | undefined;
    try {
      const result = make();
      ({ promise } = (result ?? {}) as { promise?: Promise<unknown> });
      promise?.then(made, made);
      return result;
    } finally {
      // One that could not be made is done with, too.
      if (!promise) made();
    }
  }

  /** A frame of replies leaves; `ofActivity` where it only tells of spans, and counts without being told of. */
  sent(bytes: number, ofActivity: boolean): void {
    this.#frames += 1;
    const activity = this.#activity;
    if (ofActivity || !activity.watches(SPAN.sent)) return;
    const now = activity.now();
    activity.add(SPAN.sent, { start: now, end: now, number: this.#frames, bytes });
  }
}

function labelOf(named: unknown): string {
  const { label } = (named ?? {}) as { label?: unknown };
  return typeof label === 'string' ? label : '';
}
