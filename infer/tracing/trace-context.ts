import { randomBytes } from 'node:crypto';

/** A span in a trace (W3C Trace Context), by its ids in hexadecimal digits. */
export interface SpanContext {
  readonly traceId: string;
  readonly spanId: string;
  /** Whether the trace is recorded. */
  readonly sampled: boolean;
}

/** @param text a valid `traceparent`. */
export function parseTraceparent(text: string): SpanContext {
  const [, traceId = '', spanId = '', flags = ''] = text.split('-');
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 };
}

export function newTraceId(): string {
  return randomBytes(16).toString('hex');
}

export function newSpanId(): string {
  return randomBytes(8).toString('hex');
}
