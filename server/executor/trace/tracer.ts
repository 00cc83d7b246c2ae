import { setTimeout, steadyTime } from '../../../link/machine/clock.js';
import { ALL_SPANS, SPAN, type Span, type SpanKind } from '../../../proto/activity.js';
import type { Clock, WatchedQueue } from '../limits/gpu-watchdog.js';

/** Takes spans in the order in which they ended. The list is its own. */
export type ActivityListener = (spans: Span[]) => void;

export interface ActivityOptions {
  /** `now` in milliseconds since 1970, and never going back. */
  clock: Clock;
  /** Spans that wait for their listeners, at most. Default 256. */
  mostSpans?: number | undefined;
  /** How long they wait, in milliseconds. Default 50. */
  waitMs?: number | undefined;
}

/** What is known of a span beside its kind; what is left out is empty or 0. */
export type SpanFacts = Partial<Omit<Span, 'kind'>> & Pick<Span, 'start'>;

interface Watcher {
  readonly listener: ActivityListener;
  readonly kinds: number;
}

/** A queue with work. */
interface BusyQueue {
  /** When the first submit came that the open question does not cover. */
  since: number | undefined;
}

/**
 * Tells what the executor does, to who wants to know: a session whose client draws a trace, a host that shows how
 * busy it is. While nobody watches, each place that could tell asks `watches`, which is one look at a number, and
 * does nothing else.
 *
 * Spans are handed on together: when there are `mostSpans` of them, when the oldest has waited for `waitMs`, or by
 * `flush`. So no more than that many are ever kept.
 */
export class Activity {
  readonly #clock: Clock;
  readonly #mostSpans: number;
  readonly #waitMs: number;
  readonly #watchers = new Set<Watcher>();
  readonly #busy = new Map<WatchedQueue, BusyQueue>();
  /** The kinds that anybody watches. */
  #mask = 0;
  #spans: Span[] = [];
  #waiting = false;

  constructor({ clock, mostSpans = 256, waitMs = 50 }: ActivityOptions) {
    this.#clock = clock;
    this.#mostSpans = mostSpans;
    this.#waitMs = waitMs;
  }

  /** Milliseconds since 1970, as spans have it. */
  now(): number {
    return this.#clock.now();
  }

  /** Whether anybody wants to know of such spans. */
  watches(kind: SpanKind): boolean {
    return ((this.#mask >> kind) & 1) === 1;
  }

  /**
   * Tells `listener` of what ends from now on. Returns what ends that, after which the listener is not called.
   *
   * @param kinds A mask of spanMask. To watch `gpu` costs processor time: the GPU is polled while it is asked.
   */
  watch(listener: ActivityListener, kinds: number = ALL_SPANS): () => void {
    // What has ended before is not for the new one.
    this.flush();
    const watcher = { listener, kinds };
    this.#watchers.add(watcher);
    this.#remask();
    return () => {
      this.#watchers.delete(watcher);
      this.#remask();
    };
  }

  /** Something ended: at `end`, or now. */
  add(kind: SpanKind, { name = '', label = '', start, end, number = 0, bytes = 0 }: SpanFacts): void {
    if (!this.watches(kind)) return;
    this.#spans.push({ kind, name, label, start, end: end ?? this.now(), number, bytes });
    if (this.#spans.length >= this.#mostSpans) this.flush();
    else this.#flushLater();
  }

  /** A queue was given work: tells of how long the GPU is busy with it. */
  submitted(queue: WatchedQueue): void {
    if (!this.watches(SPAN.gpu)) return;
    const now = this.now();
    const busy = this.#busy.get(queue);
    if (busy) busy.since ??= now;
    else this.#ask(queue, now);
  }

  /** Hands on what waits. */
  flush(): void {
    if (this.#spans.length === 0) return;
    const spans = this.#spans;
    this.#spans = [];
    for (const { listener, kinds } of [...this.#watchers]) {
      const wanted = spans.filter(({ kind }) => (kinds >> kind) & 1);
      if (wanted.length > 0) listener(wanted);
    }
  }

  #flushLater(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#clock.after(this.#waitMs, () => {
      this.#waiting = false;
      this.flush();
    });
  }

  #remask(): void {
    this.#mask = 0;
    for (const { kinds } of this.#watchers) this.#mask |= kinds;
    if (this.#mask === 0) this.#spans = [];
  }

  /** One question at a time: what is submitted meanwhile is asked about when that is answered. */
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

/** The time of this process since 1970, which no change of the machine's clock disturbs. */
export const ACTIVITY_CLOCK: Clock = {
  now: steadyTime,
  after: (ms, act) => void setTimeout(act, ms).unref(),
};
