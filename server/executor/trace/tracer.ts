import { monotonicNow, steadyTime } from '../../../link/machine/clock.js';
import { type Clock, PROCESS_CLOCK } from '../../../link/machine/timer.js';
import { ALL_SPANS, SPAN, type Span, type SpanKind } from '../../../proto/session/spans.js';
import type { WatchedQueue } from '../limits/gpu-watchdog.js';

/** Takes spans, the first to end first. The list belongs to the listener. */
export type SpanListener = (spans: Span[]) => void;

export interface TracerOptions {
  /** `now` in milliseconds since 1970, and never going back. */
  clock: Clock;
  /** The most spans that wait for their listeners. Default 256. */
  mostSpans?: number | undefined;
  /** How long they wait, in milliseconds. Default 50. */
  waitMs?: number | undefined;
}

/** The members of a span beside its kind. A missing member is empty or 0. */
export type SpanFacts = Partial<Omit<Span, 'kind'>> & Pick<Span, 'start'>;

interface Watcher {
  readonly listener: SpanListener;
  readonly kinds: number;
}

/** A queue that has work. */
interface BusyQueue {
  /** When the first submit came that the open question does not cover. */
  since: number | undefined;
}

/**
 * Tells listeners what the executor does: a session whose client records a trace, or a host that shows how busy it is.
 * While nobody listens, a place that could tell asks `watches`, which reads one number, and does nothing more.
 *
 * Spans are delivered together: when there are `mostSpans` of them, when the oldest has waited for `waitMs`, or when
 * `deliver` is called. So the tracer never keeps more than `mostSpans`.
 */
export class Tracer {
  readonly #clock: Clock;
  readonly #mostSpans: number;
  readonly #waitMs: number;
  readonly #watchers = new Set<Watcher>();
  readonly #busy = new Map<WatchedQueue, BusyQueue>();
  /** The kinds that some listener wants. */
  #mask = 0;
  #spans: Span[] = [];
  #waiting = false;

  constructor({ clock, mostSpans = 256, waitMs = 50 }: TracerOptions) {
    this.#clock = clock;
    this.#mostSpans = mostSpans;
    this.#waitMs = waitMs;
  }

  /** Milliseconds since 1970, as spans have it. */
  now(): number {
    return this.#clock.now();
  }

  /** Whether some listener wants spans of this kind. */
  watches(kind: SpanKind): boolean {
    return ((this.#mask >> kind) & 1) === 1;
  }

  /**
   * Gives `listener` the spans that end from now on. The returned function stops this.
   *
   * @param kinds A mask of spanMask. Watching `gpu` costs processor time, because the GPU is polled meanwhile.
   */
  watch(listener: SpanListener, kinds: number = ALL_SPANS): () => void {
    // The new listener gets no spans that ended before.
    this.deliver();
    const watcher = { listener, kinds };
    this.#watchers.add(watcher);
    this.#remask();
    return () => {
      this.#watchers.delete(watcher);
      this.#remask();
    };
  }

  /** Adds a span that ended at `end`, or now. */
  add(kind: SpanKind, { name = '', label = '', start, end, number = 0, bytes = 0 }: SpanFacts): void {
    if (!this.watches(kind)) return;
    this.#spans.push({ kind, name, label, start, end: end ?? this.now(), number, bytes });
    if (this.#spans.length >= this.#mostSpans) this.deliver();
    else this.#deliverLater();
  }

  /** A queue was given work: adds a span for the time that the GPU is busy with it. */
  submitted(queue: WatchedQueue): void {
    if (!this.watches(SPAN.gpu)) return;
    const now = this.now();
    const busy = this.#busy.get(queue);
    if (busy) busy.since ??= now;
    else this.#ask(queue, now);
  }

  /** Gives the listeners all spans that wait. */
  deliver(): void {
    if (this.#spans.length === 0) return;
    const spans = this.#spans;
    this.#spans = [];
    for (const { listener, kinds } of [...this.#watchers]) {
      const wanted = spans.filter(({ kind }) => (kinds >> kind) & 1);
      if (wanted.length > 0) listener(wanted);
    }
  }

  #deliverLater(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#clock.after(this.#waitMs, () => {
      this.#waiting = false;
      this.deliver();
    });
  }

  #remask(): void {
    this.#mask = 0;
    for (const { kinds } of this.#watchers) this.#mask |= kinds;
    if (this.#mask === 0) this.#spans = [];
  }

  /** Asks one question at a time. The next question covers the work that is submitted until the reply. */
  #ask(queue: WatchedQueue, start: number): void {
    const busy: BusyQueue = { since: undefined };
    this.#busy.set(queue, busy);
    const answered = () => {
      this.#busy.delete(queue);
      const end = this.now();
      this.add(SPAN.gpu, { start, end });
      if (busy.since !== undefined && this.watches(SPAN.gpu)) this.#ask(queue, end);
    };
    queue.onSubmittedWorkDone().then(answered, answered);
  }
}

/** This process's time since 1970. Setting the machine's clock does not change it. */
export const TRACE_CLOCK: Clock = { ...PROCESS_CLOCK, now: steadyTime };

/** The most spans that leave the process in a second: more than a picture has room for, and too few to fill a pipe. */
const MOST_PER_SECOND = 4000;

/**
 * Makes a listener that passes on at most MOST_PER_SECOND spans a second. `tell` also gets the number of spans that were
 * left out since the last call. `now` is in milliseconds of any steady clock.
 */
export function limitSpans(
  tell: (spans: Span[], left: number) => void,
  now: () => number = monotonicNow,
): SpanListener {
  let second = 0;
  let told = 0;
  let left = 0;
  return (spans) => {
    const thisSecond = Math.floor(now() / 1000);
    if (thisSecond !== second) {
      second = thisSecond;
      told = 0;
    }
    const some = spans.slice(0, Math.max(0, MOST_PER_SECOND - told));
    told += some.length;
    left += spans.length - some.length;
    if (some.length === 0) return;
    tell(some, left);
    left = 0;
  };
}
