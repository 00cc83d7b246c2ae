import { monotonicNow } from '../../link/machine/clock.js';
import type { Span } from '../../proto/activity.js';
import type { SessionEndCode, SessionOver, Traffic } from '../../proto/handshake.js';
import type { Work } from '../../proto/work.js';
import { LineLimit } from './line-limit.js';
import { brief, type Log, shortId } from './log.js';
import type { Observatory } from './observatory.js';
import type { ObservedSession } from './observed-session.js';

/** What is known of a session when it opens. */
export interface SessionFacts {
  sessionId: string;
  /** As its client calls it. */
  program: string;
  /** Whose it is, as the host knows it. */
  tenant: string;
}

/** Why somebody is not served: what the client is told, or `TLS_FAILED` where it can be told nothing. */
export interface Refusal {
  code: SessionEndCode | 'TLS_FAILED';
  message: string;
}

/** How a session ends that is nobody's mistake. */
const WELL: ReadonlySet<string> = new Set(['CLOSED', 'SHUTTING_DOWN']);

/** What is written down of one session: its lines in the log, and what the host's owner is shown. */
export class SessionLog {
  readonly #log: Log;
  readonly #facts: object;
  readonly #observed: ObservedSession;
  readonly #openedAt = monotonicNow();
  readonly #resumes = new LineLimit();
  readonly #total: Traffic = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0 };

  /** `watch` has the session's executor tell what it does, which `did` is then told. */
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

  /** Its client has come back on another connection; that may come as often as a client likes. */
  resumed(): void {
    this.#observed.resumed();
    const left = this.#resumes.take(monotonicNow());
    if (left !== undefined) this.#log.info({ ...this.#facts, ...leftOut(left) }, 'session resumed');
  }

  carried(traffic: Traffic, work: Work | undefined): void {
    this.#observed.carried(traffic, work);
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#total[key] += traffic[key];
  }

  did(spans: readonly Span[], left: number): void {
    this.#observed.did(spans, left);
  }

  /** Comes once, last. */
  ended(over: SessionOver): void {
    const { code, message } = over;
    this.#observed.ended(over);
    const seconds = Math.round(monotonicNow() - this.#openedAt) / 1000;
    const fields = { ...this.#facts, code, why: brief(message), seconds, ...this.#total };
    if (WELL.has(code)) this.#log.info(fields, 'session ended');
    else this.#log.warn(fields, 'session ended');
  }
}

/** The lines of those that are not served. Each kind of refusal has its share, so that no flood hides another. */
export class RefusalLog {
  readonly #log: Log;
  readonly #limits = new Map<string, LineLimit>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** `remote` is the address that the connection came from; undefined on a unix socket. */
  refused({ code, message }: Refusal, remote: string | undefined): void {
    const limit = this.#limits.get(code) ?? new LineLimit();
    this.#limits.set(code, limit);
    const left = limit.take(monotonicNow());
    if (left === undefined) return;
    this.#log.warn({ code, why: brief(message), remote, ...leftOut(left) }, 'connection refused');
  }
}

/** How many lines like this one were not written before it. */
function leftOut(count: number): object {
  return count > 0 ? { leftOut: count } : {};
}
