import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  /** Milliseconds since 1970. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  readonly status: { readonly code?: number; readonly message?: string };
}

/** A stand-in for a collector of OpenTelemetry. It takes what OTLP/JSON allows, and nothing else. */
export class Collector {
  readonly spans: OtlpSpan[] = [];
  readonly resources: Readonly<Record<string, string | number>>[] = [];
  readonly requests: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  /** A sentence for each message that was wrong. */
  readonly problems: string[] = [];
  /** The statuses of the next answers; 200 after them. */
  readonly answers: number[] = [];
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk) => chunks.push(chunk));
    request.on('end', async () => {
      this.requests.push({ url: request.url ?? '', headers: request.headers });
      await this.gate;
      const status = this.answers.shift() ?? 200;
      if (status === 200) this.#take(Buffer.concat(chunks).toString());
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #take(text: string): void {
    try {
      const message = fields(JSON.parse(text), ['resourceSpans']);
      for (const each of list(message.resourceSpans)) {
        const { resource, scopeSpans } = fields(each, ['resource', 'scopeSpans']);
        this.resources.push(attributesOf(fields(resource, ['attributes']).attributes));
        for (const scoped of list(scopeSpans)) {
          const { scope, spans } = fields(scoped, ['scope', 'spans']);
          const { name, version } = fields(scope, ['name', 'version']);
          if (typeof name !== 'string' || typeof version !== 'string') throw new Error('a scope has no name');
          this.spans.push(...list(spans).map(spanOf));
        }
      }
    } catch (error) {
      this.problems.push((error as Error).message);
    }
  }
}

const SPAN = [
  'traceId',
  'spanId',
  'parentSpanId',
  'name',
  'kind',
  'startTimeUnixNano',
  'endTimeUnixNano',
  'attributes',
  'status',
];

function spanOf(value: unknown): OtlpSpan {
  const span = fields(value, SPAN);
  const { traceId, spanId, parentSpanId, name, kind, startTimeUnixNano, endTimeUnixNano } = span;
  const status = fields(span.status, ['code', 'message']);
  // In JSON, ids are in hexadecimal digits, times are integers of 64 bits in strings, and enumerations are numbers.
  if (!isId(traceId, 32) || !isId(spanId, 16)) throw new Error(`${traceId} ${spanId} are no ids`);
  if (parentSpanId !== undefined && !isId(parentSpanId, 16)) throw new Error(`${parentSpanId} is no id`);
  if (typeof name !== 'string' || name === '') throw new Error('a span has no name');
  if (![1, 2, 3, 4, 5].includes(kind as number)) throw new Error(`${kind} is no kind`);
  if (status.code !== undefined && ![0, 1, 2].includes(status.code as number)) throw new Error('no status');
  const [start, end] = [startTimeUnixNano, endTimeUnixNano].map((time) => {
    if (typeof time !== 'string' || !/^\d{19}$/.test(time)) throw new Error(`${time} is no time`);
    return Number(BigInt(time) / 1000n) / 1000;
  }) as [number, number];
  if (end < start) throw new Error('a span ends before it begins');
  const attributes = attributesOf(span.attributes);
  return {
    traceId,
    spanId,
    name,
    kind,
    start,
    end,
    attributes,
    status,
    ...(parentSpanId && { parentSpanId }),
  } as OtlpSpan;
}

function isId(value: unknown, digits: number): value is string {
  return (
    typeof value === 'string' && value.length === digits && /^[0-9a-f]+$/.test(value) && /[^0]/.test(value)
  );
}

function attributesOf(value: unknown): Record<string, string | number> {
  const entries = list(value).map((each) => {
    const { key, value } = fields(each, ['key', 'value']);
    const { stringValue, intValue } = fields(value, ['stringValue', 'intValue']);
    if (typeof key !== 'string') throw new Error('an attribute has no key');
    if (typeof stringValue === 'string' && intValue === undefined) return [key, stringValue] as const;
    if (typeof intValue === 'string' && /^-?\d+$/.test(intValue)) return [key, Number(intValue)] as const;
    throw new Error(`the attribute ${key} has no value`);
  });
  if (new Set(entries.map(([key]) => key)).size < entries.length) throw new Error('a key is there twice');
  return Object.fromEntries(entries);
}

/** An object with no other fields than these. */
function fields(value: unknown, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('no object');
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other !== undefined) throw new Error(`OTLP has no field ${other} there`);
  return value as Record<string, unknown>;
}

function list(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('no list');
  return value;
}
