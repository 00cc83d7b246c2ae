import type { Attributes, Context } from '@opentelemetry/api';
import type { SpanTree, Trace, Tracing } from '../statistics/tracing.js';
import { parseTraceparent } from './trace-context.js';

type Api = typeof import('@opentelemetry/api');

/** `SpanKind`, `SpanStatusCode` and `TraceFlags` of the package. These values are its contract. */
const INTERNAL = 0;
const KINDS = { server: 1, consumer: 4 } as const;
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

  begin({ traceparent }: { traceparent?: string | undefined }): Trace {
    // Its parent is the span that is active now, as of an instrumented HTTP server.
    const parent = this.#parentOf(traceparent);
    return { end: (tree) => this.#add(tree, parent) };
  }

  async close(): Promise<void> {}

  #parentOf(traceparent: string | undefined): Context {
    const { context, trace } = this.#api;
    const active = context.active();
    if (trace.getSpan(active) || traceparent === undefined) return active;
    const { traceId, spanId, sampled } = parseTraceparent(traceparent);
    const traceFlags = sampled ? SAMPLED : 0;
    return trace.setSpanContext(active, { traceId, spanId, traceFlags, isRemote: true });
  }

  /** Makes spans that have ended. */
  #add({ name, from, to, attributes, error, kind, parts }: SpanTree, parent: Context): void {
    const { trace } = this.#api;
    const tracer = trace.getTracer('farlight', this.#version);
    const span = tracer.startSpan(
      name,
      {
        kind: kind ? KINDS[kind] : INTERNAL,
        startTime: this.#time(from),
        attributes: attributes as Attributes,
      },
      parent,
    );
    if (error !== undefined) span.setStatus({ code: ERROR, message: error });
    span.end(this.#time(to));
    const context = trace.setSpan(parent, span);
    for (const part of parts) this.#add(part, context);
  }
}
