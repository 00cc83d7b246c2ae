import type { Arrival, ObservedRequest } from '../service/request-observer.js';
import type { RequestSpan } from '../service/request-span.js';
import { InferenceError, type InferenceErrorCode } from '../service/service.js';

/** The longest name of a model that a client may have chosen, and the longest reason, which may quote it, in characters. */
const LONGEST_NAME = 200;
const LONGEST_REASON = 500;

/** The outcome of a request: a result, or the reason why there is none. */
export type Outcome = 'done' | InferenceErrorCode;

/** The facts of one request. Times are milliseconds of the process's steady clock. */
export class RequestRecord implements ObservedRequest {
  readonly arrival: Arrival;
  readonly from: number;
  /** The spans of the engine, and the receiving and answering around them. */
  readonly spans: RequestSpan[] = [];
  model = '';
  /** Empty until there is a result, where the client named none. */
  version = '';
  outcome: Outcome = 'done';
  /** Why it has no result. */
  why = '';
  /** The status of its protocol; empty while it is open. */
  status = '';
  to: number;
  /** Since when its last part goes on. */
  #since: number;
  #isAsked = false;
  #isEnded = false;
  readonly #now: () => number;
  readonly #ended: (record: RequestRecord) => void;

  constructor(arrival: Arrival, now: () => number, ended: (record: RequestRecord) => void) {
    this.arrival = arrival;
    this.#now = now;
    this.#ended = ended;
    this.from = now();
    this.to = this.from;
    this.#since = this.from;
  }

  asked(model: string, version: string | undefined): void {
    this.model = short(model, LONGEST_NAME);
    this.version = short(version ?? '', LONGEST_NAME);
    this.#endPart('receive');
    this.#isAsked = true;
  }

  readonly onSpan = (span: RequestSpan): void => {
    if (!this.#isEnded) this.spans.push(span);
  };

  done(version: string): void {
    this.version = version;
    this.#since = this.#now();
  }

  failed(error: unknown): void {
    this.outcome = codeOf(error);
    this.why = short(error instanceof Error ? error.message : String(error), LONGEST_REASON);
    if (this.#isAsked) this.#since = this.#now();
  }

  end(status: string): void {
    if (this.#isEnded) return;
    this.#endPart(this.#isAsked ? 'answer' : 'receive');
    this.#isEnded = true;
    this.status = status;
    this.#ended(this);
  }

  #endPart(part: 'receive' | 'answer'): void {
    this.to = this.#now();
    this.spans.push({ part, from: this.#since, to: this.to });
  }
}

/** The beginning of a text. The slice of a string keeps all of it in memory: this is a copy. */
function short(text: string, most: number): string {
  return text.length <= most ? text : Buffer.from(text.slice(0, most)).toString();
}

/** By the words of the service, also where its protocol has refused the request before. */
function codeOf(error: unknown): Outcome {
  if (error instanceof InferenceError) return error.code;
  const status = (error as { status?: unknown } | undefined)?.status;
  if (status === 413) return 'too-large';
  return typeof status === 'number' && status < 500 ? 'invalid' : 'internal';
}
