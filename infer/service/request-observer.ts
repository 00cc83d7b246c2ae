import type { RequestSpan } from './request-span.js';

/** Hears of each request for inference, over either protocol. Its methods return at once, and do not throw. */
export interface RequestObserver {
  /** A request has come. Its message may still be on its way. */
  begin(arrival: Arrival): ObservedRequest;
}

export interface Arrival {
  readonly protocol: 'http' | 'grpc';
  readonly tenant: string;
  /** W3C Trace Context of the span that the request belongs to. */
  readonly traceparent: string | undefined;
}

/** One request, from its arrival until its answer was sent. */
export interface ObservedRequest {
  /** Its message was read, and asks for this. */
  asked(model: string, version: string | undefined): void;
  readonly onSpan: (span: RequestSpan) => void;
  /** It has a result, of this version. The answer is made of it. */
  done(version: string): void;
  /** It has no result. */
  failed(error: unknown): void;
  /** Its answer was sent, with this status of its protocol, or its client has gone. */
  end(status: string): void;
}
