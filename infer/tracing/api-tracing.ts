import type { Attributes, Context } from '@opentelemetry/api';
import type { Arrival } from '../service/request-observer.js';
import type { RequestRecord } from '../statistics/request-record.js';
import type { RequestTrace, Tracing } from '../statistics/tracing.js';
import { partFacts, requestFacts, type SpanFacts } from './request-spans.js';
import { parseTraceparent } from './trace-context.js';

type Api = typeof import('@opentelemetry/api');

/** `SpanKind`, `SpanStatusCode` and `TraceFlags` of the package. These values are its contract. */
const INTERNAL = 0;
const SERVER = 1;
const ERROR = 2;
const SAMPLED = 1;

/** Makes spans with the `@opentelemetry/api` that the process has set up. Its sampler and exporters decide the rest. */
export class ApiTracing implements Tracing {
  readonly #api: Api;
  readonly #version: string;
  /** The time since 1970 of a time on the steady clock, in milliseconds. */
  readonly #time: (at: number) => number;

  constructor(api: Api, { version, time }: { version: string; time(at: number): number }) {
    this.#api = api;
    this.#version = version;
    this.#time = time;
  }

  begin(arrival: Arrival): RequestTrace {
    // Its parent is the span that is active now, as of an instrumented HTTP server.
    const parent = this.#parentOf(arrival);
    return { end: (record) => this.#end(record, parent) };
  }

  async close(): Promise<void> {}

  #parentOf({ traceparent }: Arrival): Context {
    const { context, trace } = this.#api;
    const active = context.active();
    if (trace.getSpan(active) || traceparent === undefined) return active;
    const { traceId, spanId, sampled } = parseTraceparent(traceparent);
    const traceFlags = sampled ? SAMPLED : 0;
    return trace.setSpanContext(active, { traceId, spanId, traceFlags, isRemote: true });
  }

  #end(record: RequestRecord, parent: Context): void {
    const request = this.#span(requestFacts(record), SERVER, parent);
    for (const part of partFacts(record)) this.#span(part, INTERNAL, request);
  }

  /** Makes a span that has ended. Returns the context of its children. */
  #span({ name, from, to, attributes, error }: SpanFacts, kind: number, parent: Context): Context {
    const { trace } = this.#api;
    const tracer = trace.getTracer('farlight', this.#version);
    const options = { kind, startTime: this.#time(from), attributes: attributes as Attributes };
    const span = tracer.startSpan(name, options, parent);
    if (error !== undefined) span.setStatus({ code: ERROR, message: error });
    span.end(this.#time(to));
    return trace.setSpan(parent, span);
  }
}
