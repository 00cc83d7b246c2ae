import type { Traffic } from '../../proto/session/session-counts.js';
import { noWork, type WorkCounts } from '../../proto/session/session-counts.js';
import type { SessionEnded } from '../../proto/session/session-end.js';
import type { EndView, Rates, SessionView, SpansView } from './host-view.js';
import { Meter } from './meter.js';

/** The longest text from a client in a view, in characters. */
const LONGEST = 120;

/** The facts of a session when it begins. */
export interface ObservedFacts {
  /** The part of its id that may be shown. */
  session: string;
  program: string;
  tenant: string;
}

export interface ObservedEvents {
  /** The session has carried and done so much more. */
  onMore(traffic: Traffic, more: WorkCounts): void;
  /** Comes once, last. */
  onEnd(end: EndView): void;
}

export interface ObservedOptions extends ObservedEvents {
  facts: ObservedFacts;
  /** Milliseconds since 1970. */
  now(): number;
  /** Makes the session's executor start or stop reporting spans. */
  watch(on: boolean): void;
}

/** The observatory's record of one session. */
export class ObservedSession {
  readonly #options: ObservedOptions;
  readonly #since: number;
  readonly #meter: Meter;
  readonly #traffic: Traffic = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0 };
  readonly #watchers = new Set<(spans: SpansView) => void>();
  #work: WorkCounts = noWork();
  #adapter = '';
  #parked: SessionView['parked'];
  #resumes = 0;

  constructor(options: ObservedOptions) {
    this.#options = options;
    this.#since = options.now();
    this.#meter = new Meter(this.#since);
  }

  /** The session has an executor. */
  opened(adapter: string): void {
    this.#adapter = adapter;
    this.#parked = undefined;
    // A watcher may have come before the session had its executor.
    if (this.#watchers.size > 0) this.#options.watch(true);
  }

  /** The session has no executor any more, and takes so many bytes on disk. */
  parked(bytes: number): void {
    this.#parked = { since: this.#options.now(), bytes };
    this.#work = { ...this.#work, gpuBytes: 0, gpuReserved: 0 };
  }

  /** The session's work at another host, before it came here. */
  wasAtWork(work: WorkCounts): void {
    this.#work = { ...work, gpuBytes: 0, gpuReserved: 0 };
  }

  resumed(): void {
    this.#resumes += 1;
  }

  /** @param traffic since the last call. @param work since the session began. */
  carried(traffic: Traffic, work: WorkCounts = this.#work): void {
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#traffic[key] += traffic[key];
    const more = noWork();
    for (const key of Object.keys(more) as (keyof WorkCounts)[]) more[key] = work[key] - this.#work[key];
    this.#work = work;
    this.#meter.add(this.#options.now(), amounts(traffic, more));
    this.#options.onMore(traffic, more);
  }

  did(spans: SpansView['spans'], left: number): void {
    for (const watcher of this.#watchers) watcher({ spans, left });
  }

  ended({ code, message }: SessionEnded): void {
    this.#watchers.clear();
    const { bytesUp, bytesDown } = this.#traffic;
    const { submits } = this.#work;
    const at = this.#options.now();
    const seconds = Math.round(at - this.#since) / 1000;
    const shown = { ...this.#facts, code, why: shorten(message), at, seconds, bytesUp, bytesDown, submits };
    this.#options.onEnd(shown);
  }

  /** Calls `watcher` with the session's new spans from now on. @returns a function that stops it. */
  watch(watcher: (spans: SpansView) => void): () => void {
    if (this.#watchers.size === 0 && this.#adapter) this.#options.watch(true);
    this.#watchers.add(watcher);
    return () => {
      if (this.#watchers.delete(watcher) && this.#watchers.size === 0) this.#options.watch(false);
    };
  }

  get work(): Readonly<WorkCounts> {
    return this.#work;
  }

  view(now: number): SessionView {
    return {
      ...this.#facts,
      adapter: this.#adapter,
      since: this.#since,
      parked: this.#parked,
      resumes: this.#resumes,
      rates: this.#meter.rates(now),
      traffic: { ...this.#traffic },
      work: this.#work,
    };
  }

  get #facts(): ObservedFacts {
    const { session, program, tenant } = this.#options.facts;
    return { session, program: shorten(program), tenant };
  }
}

export function amounts({ bytesUp, bytesDown }: Traffic, { submits, waits }: WorkCounts): Rates {
  return { submits, waits, bytesUp, bytesDown };
}

function shorten(text: string): string {
  return text.length <= LONGEST ? text : `${text.slice(0, LONGEST - 1)}…`;
}
