import type { AdapterDescription } from '../../proto/session/handshake.js';
import type { Traffic } from '../../proto/session/session-counts.js';
import { noWork, type WorkCounts } from '../../proto/session/session-counts.js';
import type { SessionEnded } from '../../proto/session/session-end.js';

import type { Counters } from './counters.js';
import type {
  ContentsView,
  EndView,
  ExecutorCensus,
  GpuMemoryView,
  HostView,
  SecondView,
  SpansView,
  Totals,
} from './host-view.js';
import { History, Meter } from './meter.js';
import { amounts, type ObservedFacts, ObservedSession } from './observed-session.js';

/** How many ended sessions to keep. */
const KEPT_ENDS = 50;

/** The facts that the observatory does not gather itself. */
export interface HostFacts {
  version: string;
  url: string;
  adapter: AdapterDescription | undefined;
  adapterProblem: string;
  gpuMemory: GpuMemoryView;
  counters: Counters;
  executors: ExecutorCensus;
}

export interface ObservatoryOptions {
  /** Milliseconds since 1970. */
  now(): number;
  host(): HostFacts;
}

/**
 * Gathers what the host does, for the page, the metrics and `farlight top`. The sessions report their events here. It has
 * no timer, and computes views only when somebody asks.
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
  readonly #endsByCode = new Map<SessionEnded['code'], number>();
  readonly #totals: Totals = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0, ...noWork() };
  #secondsEnded = 0;
  /** The contents on disk, by tenant. The dashboard sets it. */
  contents: ContentsView[] | undefined;

  constructor(options: ObservatoryOptions) {
    this.#options = options;
    this.#startedAt = options.now();
    this.#meter = new Meter(this.#startedAt);
  }

  /** A session begins. @param watch makes its executor start or stop reporting spans. */
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

  /** How many sessions have ended since the host started, by code. */
  get endsByCode(): ReadonlyMap<SessionEnded['code'], number> {
    return this.#endsByCode;
  }

  /** The total duration of ended sessions. */
  get secondsEnded(): number {
    return this.#secondsEnded;
  }

  get totals(): Readonly<Totals> {
    return this.#totals;
  }

  /** GPU memory of all open sessions, in bytes. */
  get #memory(): Pick<WorkCounts, 'gpuBytes' | 'gpuReserved'> {
    const sum = { gpuBytes: 0, gpuReserved: 0 };
    for (const { work } of this.#sessions.values()) {
      sum.gpuBytes += work.gpuBytes;
      sum.gpuReserved += work.gpuReserved;
    }
    return sum;
  }

  view(): HostView {
    const now = this.#options.now();
    return {
      ...this.#options.host(),
      startedAt: this.#startedAt,
      now,
      rates: this.#meter.rates(now),
      totals: { ...this.#totals, ...this.#memory },
      sessions: [...this.#sessions.values()].map((session) => session.view(now)),
      ends: this.#ends,
      contents: this.contents,
    };
  }

  /** The amounts second by second, from a second on, at most five minutes back. */
  seconds(from = 0): SecondView[] {
    return this.#history.from(from);
  }

  /**
   * Calls `watcher` with a session's new spans.
   *
   * @returns a function that stops it; undefined where there is no such session.
   */
  watch(session: string, watcher: (spans: SpansView) => void): (() => void) | undefined {
    return this.#sessions.get(session)?.watch(watcher);
  }

  #count(traffic: Traffic, more: WorkCounts): void {
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#totals[key] += traffic[key];
    for (const key of Object.keys(more) as (keyof WorkCounts)[]) this.#totals[key] += more[key];
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
