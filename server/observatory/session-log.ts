import { monotonicNow } from '../../link/machine/clock.js';
import type { Traffic, WorkCounts } from '../../proto/session/session-counts.js';
import type { SessionEndCode, SessionEnded } from '../../proto/session/session-end.js';
import type { Span } from '../../proto/session/spans.js';

import { brief, type Log, shortId } from './log.js';
import type { Observatory } from './observatory.js';
import type { ObservedSession } from './observed-session.js';

/** The facts of a session when it opens. */
export interface SessionFacts {
  sessionId: string;
  /** The client's name for the program. */
  program: string;
  tenant: string;
}

/** Why the host refuses a connection. The client learns the same reason; it learns nothing of `TLS_FAILED`. */
export interface Refusal {
  code: SessionEndCode | 'TLS_FAILED';
  message: string;
}

/** The ends of sessions that are nobody's mistake. */
const NORMAL_ENDS: ReadonlySet<string> = new Set(['CLOSED', 'MOVED', 'SHUTTING_DOWN']);

/** Writes one session's lines in the log, and reports its events to the observatory. */
export class SessionLog {
  readonly #log: Log;
  readonly #facts: object;
  readonly #observed: ObservedSession;
  readonly #openedAt = monotonicNow();
  #parkedAt = 0;
  readonly #resumes = new LineLimit();
  readonly #total: Traffic = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0 };

  /** @param watch makes the session's executor report its spans, which then go to `did`. */
  constructor(
    log: Log,
    observatory: Observatory,
    { sessionId, program, tenant }: SessionFacts,
    watch: (on: boolean) => void,
  ) {
    this.#log = log;
    const session = shortId(sessionId);
    this.#facts = { session, program: brief(program), tenant };
    this.#observed = observatory.begin({ session, program, tenant }, watch);
  }

  opened(adapter: string): void {
    this.#log.info({ ...this.#facts, adapter }, 'session opened');
    this.#observed.opened(adapter);
  }

  /** The client has resumed the session on another connection. A client may do that any number of times. */
  resumed(): void {
    this.#observed.resumed();
    const left = this.#resumes.take(monotonicNow());
    if (left !== undefined) this.#log.info({ ...this.#facts, ...leftOut(left) }, 'session resumed');
  }

  /** The session's work so far. */
  get work(): Readonly<WorkCounts> {
    return this.#observed.work;
  }

  /** The session is parked: it has no executor, and its contents take so many bytes on disk. */
  parked(bytes: number): void {
    this.#parkedAt = monotonicNow();
    this.#observed.parked(bytes);
    this.#log.info({ ...this.#facts, bytes }, 'session parked');
  }

  /** The session cannot be parked. */
  notParked(why: string): void {
    this.#log.info({ ...this.#facts, why: brief(why) }, 'session not parked');
  }

  /** The program of the parked session goes on, and others have all places. */
  waits(): void {
    this.#log.info(this.#facts, 'parked session waits for a place');
  }

  /** The parked session is back, so many milliseconds after its client asked. */
  unparked(adapter: string, ms: number): void {
    const parkedSeconds = Math.round(monotonicNow() - this.#parkedAt) / 1000;
    this.#observed.opened(adapter);
    this.#log.info({ ...this.#facts, adapter, parkedSeconds, ms: Math.round(ms) }, 'session back');
  }

  /** The session came from another host, and everything was made again within so many milliseconds. */
  arrived(adapter: string, ms: number): void {
    this.#observed.opened(adapter);
    this.#log.info({ ...this.#facts, adapter, ms: Math.round(ms) }, 'session arrived');
  }

  /** The session's work at its earlier host. It does not count here. */
  wasAtWork(work: WorkCounts): void {
    this.#observed.wasAtWork(work);
  }

  /** Another host has the session, so many milliseconds after somebody wanted that. */
  moved(to: string, bytes: number, ms: number): void {
    this.#log.info({ ...this.#facts, to, bytes, ms: Math.round(ms) }, 'session moved');
  }

  /** The session cannot be moved; or the host at `to` has not taken it. */
  notMoved(why: string, to?: string): void {
    this.#log.info({ ...this.#facts, to, why: brief(why) }, 'session not moved');
  }

  carried(traffic: Traffic, work: WorkCounts | undefined): void {
    this.#observed.carried(traffic, work);
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#total[key] += traffic[key];
  }

  did(spans: readonly Span[], left: number): void {
    this.#observed.did(spans, left);
  }

  /** Bytes that went over lines to other hosts and came from them, if any did. */
  get #overLines(): Partial<WorkCounts> {
    const { bytesToHosts, bytesFromHosts } = this.#observed.work;
    return bytesToHosts + bytesFromHosts > 0 ? { bytesToHosts, bytesFromHosts } : {};
  }

  /** Call this once, last. */
  ended(over: SessionEnded): void {
    const { code, message } = over;
    this.#observed.ended(over);
    const seconds = Math.round(monotonicNow() - this.#openedAt) / 1000;
    const fields = { ...this.#facts, code, why: brief(message), seconds, ...this.#total, ...this.#overLines };
    if (NORMAL_ENDS.has(code)) this.#log.info(fields, 'session ended');
    else this.#log.warn(fields, 'session ended');
  }
}

/** Writes the lines about refused connections. Each code has its own limit, so that no flood hides other lines. */
export class RefusalLog {
  readonly #log: Log;
  readonly #limits = new Map<string, LineLimit>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param remote the remote address; undefined on a unix socket. */
  refused({ code, message }: Refusal, remote: string | undefined): void {
    const limit = this.#limits.get(code) ?? new LineLimit();
    this.#limits.set(code, limit);
    const left = limit.take(monotonicNow());
    if (left === undefined) return;
    this.#log.warn({ code, why: brief(message), remote, ...leftOut(left) }, 'connection refused');
  }
}

export interface LineLimitOptions {
  /** How many lines may be written at once. Default 10. */
  burst?: number;
  /** How often a further line may be written, in milliseconds. Default 10 s. */
  everyMs?: number;
}

/** Limits log lines that peers can cause as often as they like. */
export class LineLimit {
  readonly #burst: number;
  readonly #everyMs: number;
  /** When a whole burst may be written again. */
  #clearAt = 0;
  #left = 0;

  constructor({ burst = 10, everyMs = 10_000 }: LineLimitOptions = {}) {
    this.#burst = burst;
    this.#everyMs = everyMs;
  }

  /**
   * Asks to write a line.
   *
   * @param now milliseconds of any steady clock.
   * @returns how many lines were left out since the last one; undefined where this one must be left out too.
   */
  take(now: number): number | undefined {
    const clearAt = Math.max(this.#clearAt, now) + this.#everyMs;
    if (clearAt - now > this.#burst * this.#everyMs) {
      this.#left += 1;
      return undefined;
    }
    this.#clearAt = clearAt;
    const left = this.#left;
    this.#left = 0;
    return left;
  }
}

/** The field that says how many lines were left out before this one. */
function leftOut(count: number): object {
  return count > 0 ? { leftOut: count } : {};
}
