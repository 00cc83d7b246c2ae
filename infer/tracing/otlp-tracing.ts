import type { Clock } from '../../link/machine/timer.js';
import type { Attributes, SpanTree, Trace, Tracing } from '../statistics/tracing.js';
import type { OtlpSettings } from './otlp-settings.js';
import { newSpanId, newTraceId, parseTraceparent } from './trace-context.js';

/** How long a span waits for others, and how many are sent at once. */
const SEND_MS = 2000;
const MOST_AT_ONCE = 2000;
/** The most spans that wait. Beyond that the newest are dropped. */
const MOST_WAITING = 20_000;
/** How long the collector may take for an answer, and for all answers once the server ends, in milliseconds. */
const ANSWER_MS = 10_000;
const CLOSE_MS = 3000;
/** Statuses after which the same spans are sent again later, as OTLP says. */
const LATER = [429, 502, 503, 504];

/** `SpanKind` and `StatusCode` of OTLP. */
const INTERNAL = 1;
const KINDS = { server: 2, consumer: 5 } as const;
const ERROR = 2;

export interface OtlpTracingOptions {
  readonly settings: OtlpSettings;
  readonly version: string;
  readonly clock: Clock;
  /** The time since 1970 of a time on the steady clock, in milliseconds. */
  time(at: number): number;
  /** Spans could not be sent, in a sentence. It is called once for each failure in a row. */
  warn(sentence: string): void;
}

/** Sends spans to a collector: OTLP over HTTP, in JSON (https://opentelemetry.io/docs/specs/otlp). */
export class OtlpTracing implements Tracing {
  readonly #options: OtlpTracingOptions;
  #waiting: object[] = [];
  #dropped = 0;
  /** Aborts the last sends if the collector does not answer before the server ends. */
  readonly #late = new AbortController();
  /** The send that is under way. */
  #sending: Promise<boolean> | undefined;
  #isPlanned = false;
  #isFailing = false;

  constructor(options: OtlpTracingOptions) {
    this.#options = options;
  }

  begin({ traceparent }: { traceparent?: string | undefined }): Trace | undefined {
    const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent);
    const traceId = parent?.traceId ?? newTraceId();
    if (!this.#options.settings.samples(traceId, parent?.sampled)) return undefined;
    return { end: (tree) => this.#end(tree, traceId, parent?.spanId) };
  }

  async close(): Promise<void> {
    this.#options.clock.after(CLOSE_MS, () => this.#late.abort(new Error('it did not answer in time')));
    while (this.#waiting.length > 0) if (!(await this.#send())) return;
  }

  #end(tree: SpanTree, traceId: string, parent: string | undefined): void {
    const spans = this.#spansOf(tree, traceId, parent);
    if (this.#waiting.length + spans.length > MOST_WAITING) {
      this.#dropped += spans.length;
      return;
    }
    this.#waiting.push(...spans);
    this.#plan();
  }

  #spansOf(
    { name, from, to, attributes, error, kind, parts }: SpanTree,
    traceId: string,
    parent: string | undefined,
  ): object[] {
    const spanId = newSpanId();
    const span = {
      traceId,
      spanId,
      ...(parent !== undefined && { parentSpanId: parent }),
      name,
      kind: kind ? KINDS[kind] : INTERNAL,
      startTimeUnixNano: nanoseconds(this.#options.time(from)),
      endTimeUnixNano: nanoseconds(this.#options.time(to)),
      attributes: attributesOf(attributes),
      status: error === undefined ? {} : { code: ERROR, message: error },
    };
    return [span, ...parts.flatMap((part) => this.#spansOf(part, traceId, spanId))];
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#options.clock.after(SEND_MS, () => {
      this.#isPlanned = false;
      void this.#send().then(() => {
        if (this.#waiting.length > 0) this.#plan();
      });
    });
  }

  /**
   * Sends the oldest spans, or waits for the spans that are being sent. Resolves to false where they are to be sent again
   * later. Spans that the collector refuses are dropped.
   */
  #send(): Promise<boolean> {
    this.#sending ??= this.#sendOldest().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #sendOldest(): Promise<boolean> {
    const spans = this.#waiting.slice(0, MOST_AT_ONCE);
    if (spans.length === 0) return true;
    const problem = await this.#post(spans);
    if (problem?.again !== true) this.#waiting = this.#waiting.slice(spans.length);
    if (problem && !this.#isFailing) this.#options.warn(this.#sentence(problem.why));
    this.#isFailing = problem !== undefined;
    return problem?.again !== true;
  }

  async #post(spans: readonly object[]): Promise<{ why: string; again: boolean } | undefined> {
    const { settings, version } = this.#options;
    const body = {
      resourceSpans: [
        {
          resource: { attributes: attributesOf({ ...settings.resource, 'service.version': version }) },
          scopeSpans: [{ scope: { name: 'farlight', version }, spans }],
        },
      ],
    };
    try {
      const response = await fetch(settings.url, {
        method: 'POST',
        headers: { ...settings.headers, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.any([this.#late.signal, AbortSignal.timeout(ANSWER_MS)]),
      });
      // An answer that nobody reads would keep its connection.
      await response.arrayBuffer();
      if (response.ok) return undefined;
      return { why: `it answers with status ${response.status}`, again: LATER.includes(response.status) };
    } catch (error) {
      return { why: reasonOf(error), again: true };
    }
  }

  #sentence(why: string): string {
    const dropped = this.#dropped > 0 ? `; ${this.#dropped} spans were dropped until now` : '';
    return `no spans can be sent to ${this.#options.settings.url}: ${why}${dropped}`;
  }
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string } };
  return cause?.code ?? message;
}

/** In whole microseconds: a double has no more digits. */
function nanoseconds(ms: number): string {
  return `${Math.round(ms * 1000)}000`;
}

function attributesOf(attributes: Attributes): object[] {
  return Object.entries(attributes).map(([key, value]) => ({
    key,
    value: typeof value === 'number' ? { intValue: `${value}` } : { stringValue: value },
  }));
}
