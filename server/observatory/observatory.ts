import type { AdapterDescription, SessionOver, Traffic } from '../../proto/handshake.js';
import { noWork, type Work } from '../../proto/work.js';
import type { ExecutorCensus } from '../daemon/executors/executor-pool.js';
import type { Counters } from './counters.js';
import { History } from './history.js';
import { Meter } from './meter.js';
import { amounts, type ObservedFacts, ObservedSession } from './observed-session.js';
import type { BlobsView, EndView, HostView, SecondView, SpansView, Totals } from './view.js';

/** Ends of sessions that are kept. */
const KEPT_ENDS = 50;

/** What the observatory does not count itself, as it is now. */
export interface HostFacts {
  version: string;
  url: string;
  adapter: AdapterDescription | undefined;
  adapterProblem: string;
  counters: Counters;
  executors: ExecutorCensus;
}

export interface ObservatoryOptions {
  /** Milliseconds since 1970. */
  now(): number;
  host(): HostFacts;
}

/**
 * What the host does, gathered in one place for those who look at it: the page, the metrics, `farlight top`. It has no
 * timer, and is told by the sessions; nothing is computed while nobody asks.
 */
export class Observatory {
  readonly #options: ObservatoryOptions;
  readonly #startedAt: number;
  readonly #meter: Meter;
  readonly #history = new History();
  /** In the order in which they began. */
  readonly #sessions = new Map<string, ObservedSession>();
  /** The newest first. */
  #ends: EndView[] = [];
  readonly #endsByCode = new Map<SessionOver['code'], number>();
  readonly #totals: Totals = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0, ...noWork() };
  #secondsEnded = 0;
  /** What is kept of uploads; set by who looks there. */
  blobs: BlobsView[] | undefined;

  constructor(options: ObservatoryOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#meter = new Meter(this.#startedAt);
  }

  /** A session begins; `watch` has its executor tell what it does, or no longer. */
  begin(facts: ObservedFacts, watch: (on: boolean) => void): ObservedSession {
    const session: ObservedSession = new ObservedSession({
      facts,
      watch,
      now: this.#options.now,
      onMore: (traffic, more) => this.#count(traffic, more),
      onEnd: (end) => this.#end(session, end),
    });
    this.#sessions.set(facts.session, session);
    return session;
  }

  /** How sessions have ended, by the reason, since the host started. */
  get endsByCode(): ReadonlyMap<SessionOver['code'], number> {
    return this.#endsByCode;
  }

  /** How long the sessions were open that have ended, together. */
  get secondsEnded(): number {
    return this.#secondsEnded;
  }

  get totals(): Readonly<Totals> {
    return this.#totals;
  }

  /** Bytes of all sessions' buffers and textures. */
  get gpuBytes(): number {
    let sum = 0;
    for (const { gpuBytes } of this.#sessions.values()) sum += gpuBytes;
    return sum;
  }

  view(): HostView {
    const now = this.#options.now();
    return {
      ...this.#options.host(),
      startedAt: this.#startedAt,
      now,
      rates: this.#meter.rates(now),
      totals: { ...this.#totals, gpuBytes: this.gpuBytes },
      sessions: [...this.#sessions.values()].map((session) => session.view(now)),
      ends: this.#ends,
      blobs: this.blobs,
    };
  }

  /** What happened second by second, at most five minutes back, from a second on. */
  seconds(from = 0): SecondView[] {
    return this.#history.from(from);
  }

  /** Tells `watcher` of what a session does. Returns what ends that; undefined where there is no such session. */
  watch(session: string, watcher: (did: SpansView) => void): (() => void) | undefined {
    return this.#sessions.get(session)?.watch(watcher);
  }

  #count(traffic: Traffic, more: Work): void {
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#totals[key] += traffic[key];
    for (const key of Object.keys(more) as (keyof Work)[]) this.#totals[key] += more[key];
    const now = this.#options.now();
    const happened = amounts(traffic, more);
    this.#meter.add(now, happened);
    this.#history.add(now, happened);
  }

  #end(session: ObservedSession, end: EndView): void {
    if (this.#sessions.get(end.session) === session) this.#sessions.delete(end.session);
    this.#ends = [end, ...this.#ends].slice(0, KEPT_ENDS);
    this.#endsByCode.set(end.code, (this.#endsByCode.get(end.code) ?? 0) + 1);
    this.#secondsEnded += end.seconds;
  }
}
