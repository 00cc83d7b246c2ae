import { SPAN } from '../../../proto/session/spans.js';
import type { DecodedCommand } from '../wire/decoded-command.js';
import type { Tracer } from './tracer.js';

/** A compilation that takes this long, in milliseconds, is reported at once. */
const LONG_MS = 10;

/** The part of a command that a span is named after. */
type Named = Pick<DecodedCommand, 'operation' | 'args'>;

export interface TracerCounts {
  readonly flushes: number;
  readonly frames: number;
}

/** Adds one session's spans. It numbers the session's flushes and frames, and names its commands. */
export class SessionTracer {
  readonly #tracer: Tracer;
  #flushes = 0;
  #frames = 0;
  /** When the first frame of the flush came that is still incomplete. */
  #since: number | undefined;

  constructor(tracer: Tracer) {
    this.#tracer = tracer;
  }

  /** How many flushes and frames there were, to continue from in another process. */
  get counts(): TracerCounts {
    return { flushes: this.#flushes, frames: this.#frames };
  }

  restore({ flushes, frames }: TracerCounts): void {
    this.#flushes = flushes;
    this.#frames = frames;
  }

  /** A frame came that is not the last one of its flush. */
  part(): void {
    if (this.#tracer.watches(SPAN.received)) this.#since ??= this.#tracer.now();
  }

  /** Runs a flush that is complete. Passes on what `run` throws. */
  flush(bytes: number, run: () => void): void {
    this.#flushes += 1;
    const tracer = this.#tracer;
    if (!tracer.watches(SPAN.received) && !tracer.watches(SPAN.executed)) {
      run();
      return;
    }
    const start = tracer.now();
    const number = this.#flushes;
    tracer.add(SPAN.received, { start: this.#since ?? start, end: start, number, bytes });
    this.#since = undefined;
    run();
    tracer.add(SPAN.executed, { start, number, bytes });
  }

  /** An awaited command begins. Call the returned function when its reply leaves; undefined where nobody watches. */
  awaited({ operation, args }: Named, self: object | undefined, number: number): (() => void) | undefined {
    const tracer = this.#tracer;
    if (!tracer.watches(SPAN.awaited)) return undefined;
    const start = tracer.now();
    const name = `${operation.interface}.${operation.member}`;
    const label = labelOf(operation.creates ? args[0] : self);
    return () => {
      tracer.add(SPAN.awaited, { start, number, name, label });
      tracer.deliver();
    };
  }

  /** Whether somebody wants to know how long this command compiles. */
  compiles({ compiles }: Pick<DecodedCommand, 'compiles'>): boolean {
    return compiles && this.#tracer.watches(SPAN.compiled);
  }

  /** Adds a span for the time that `make` compiles, or that its promise takes. Passes on what `make` throws. */
  compile<T>({ operation, args }: Named, make: () => T): T {
    const tracer = this.#tracer;
    const start = tracer.now();
    const label = labelOf(args[0]);
    const made = () => {
      tracer.add(SPAN.compiled, { start, name: operation.creates ?? '', label });
      if (tracer.now() - start >= LONG_MS) tracer.deliver();
    };
    let promise: Promise<unknown> | undefined;
    try {
      const result = make();
      ({ promise } = (result ?? {}) as { promise?: Promise<unknown> });
      promise?.then(made, made);
      return result;
    } finally {
      // A compilation that throws has ended too.
      if (!promise) made();
    }
  }

  /** A frame of replies leaves. A frame that carries spans alone is counted, and adds no span. */
  sent(bytes: number, onlySpans: boolean): void {
    this.#frames += 1;
    const tracer = this.#tracer;
    if (onlySpans || !tracer.watches(SPAN.sent)) return;
    const now = tracer.now();
    tracer.add(SPAN.sent, { start: now, end: now, number: this.#frames, bytes });
  }
}

function labelOf(named: unknown): string {
  const { label } = (named ?? {}) as { label?: unknown };
  return typeof label === 'string' ? label : '';
}
