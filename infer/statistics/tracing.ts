import type { Arrival } from '../service/request-observer.js';
import type { RequestRecord } from './request-record.js';

/** Makes traces of requests. */
export interface Tracing {
  /** Undefined where the request is in no trace that is recorded. */
  begin(arrival: Arrival): RequestTrace | undefined;
  /** Sends what is left, for a few seconds at most. */
  close(): Promise<void>;
}

/** The trace of one request. */
export interface RequestTrace {
  end(record: RequestRecord): void;
}
