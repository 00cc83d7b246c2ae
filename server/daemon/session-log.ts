import type { SessionEndCode, SessionOver, Traffic } from '../../proto/handshake.js';
import { LineLimit } from './line-limit.js';
import { brief, type Log, shortId } from './log.js';

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

/** The lines of one session. */
export class SessionLog {
  readonly #log: Log;
  readonly #facts: object;
  readonly #openedAt = performance.now();
  readonly #resumes = new LineLimit();
  readonly #total: Traffic = { framesUp: 0, framesDown: 0, bytesUp: 0, bytesDown: 0 };

  constructor(log: Log, { sessionId, program, tenant }: SessionFacts) {
    this.#log = log;
    this.#facts = { session: shortId(sessionId), program: brief(program), tenant };
  }

  opened(adapter: string): void {
    this.#log.info({ ...this.#facts, adapter }, 'session opened');
  }

  /** Its client has come back on another connection; that may come as often as a client likes. */
  resumed(): void {
    const left = this.#resumes.take(performance.now());
    if (left !== undefined) this.#log.info({ ...this.#facts, ...leftOut(left) }, 'session resumed');
  }

  carried(traffic: Traffic): void {
    for (const key of Object.keys(traffic) as (keyof Traffic)[]) this.#total[key] += traffic[key];
  }

  /** Comes once, last. */
  ended({ code, message }: SessionOver): void {
    const seconds = Math.round(performance.now() - this.#openedAt) / 1000;
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
    const left = limit.take(performance.now());
    if (left === undefined) return;
    this.#log.warn({ code, why: brief(message), remote, ...leftOut(left) }, 'connection refused');
  }
}

/** How many lines like this one were not written before it. */
function leftOut(count: number): object {
  return count > 0 ? { leftOut: count } : {};
}
