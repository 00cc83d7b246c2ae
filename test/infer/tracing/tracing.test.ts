import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { registeredTelemetry } from '#farlight/client/observers/open-telemetry.js';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { InferenceServer } from '#farlight/infer/inference-server.js';
import { RequestRecord } from '#farlight/infer/statistics/request-record.js';
import { requestTree } from '#farlight/infer/statistics/request-spans.js';
import type { Tracing } from '#farlight/infer/statistics/tracing.js';
import { openTracing } from '#farlight/infer/tracing/open-tracing.js';
import { otlpSettings } from '#farlight/infer/tracing/otlp-settings.js';
import { OtlpTracing } from '#farlight/infer/tracing/otlp-tracing.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { int32, mapping } from '../engine/fake-lanes.js';
import { serve as serveEngine } from '../engine/served.js';
import { FakeService } from '../protocol/fake-service.js';
import { inferenceClient } from '../protocol/served.js';
import { Collector, type OtlpSpan } from './collector.js';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const PARENT = '00f067aa0ba902b7';
const SAMPLED = `00-${TRACE}-${PARENT}-01`;

let collector: Collector;
let url: string;
const warnings: string[] = [];
const ends: (() => unknown)[] = [];

beforeEach(async () => {
  collector = new Collector();
  url = await collector.listen();
  warnings.length = 0;
  ends.push(() => collector.close());
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  trace.disable();
  context.disable();
});

function tracingOf(env: Record<string, string> = {}, api?: ReturnType<typeof registeredTelemetry>) {
  const warn = (sentence: string) => warnings.push(sentence);
  return openTracing({ address: undefined, api, env, version: '1.2.3', warn });
}

async function serve(tracing: Tracing | undefined) {
  const service = new FakeService();
  const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: '127.0.0.1:0' }, () => {});
  const options = { service, trust, name: 'farlight', version: '1.2.3', tracing, onError: () => {} };
  const server = new InferenceServer(options);
  let closed: Promise<void> | undefined;
  const close = () => {
    closed ??= server.close(100);
    return closed;
  };
  ends.push(close);
  await server.listen();
  const ask = (headers: Record<string, string> = {}, model = 'echo-INT32') =>
    fetch(`${server.httpUrl}/v2/models/${model}/infer`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [7] }] }),
    });
  return { server, service, ask, close };
}

const named = (name: string) => collector.spans.find((span) => span.name === name) as OtlpSpan;

/** Ends a request while the spans of the one before it are sent, and then the server. */
async function closedBehindASend(): Promise<void> {
  const gate = deferred<void>();
  collector.gate = gate.promise;
  const { tracing, timers, endRequest } = tracerWithTimers();
  endRequest();
  timers.shift()?.();
  await expect.poll(() => collector.requests.length).toBe(1);
  endRequest();
  const closed = tracing.close();
  gate.resolve();
  await closed;
}

/** A tracer whose timers the test runs. */
function tracerWithTimers() {
  const settings = otlpSettings(url, {});
  if (!settings) throw new Error('no settings');
  const timers: (() => void)[] = [];
  const clock = { now: () => 0, after: (_: number, act: () => void) => void timers.push(act) };
  const warn = (sentence: string) => warnings.push(sentence);
  const tracing = new OtlpTracing({
    settings,
    version: '1',
    clock,
    time: (at) => 1_700_000_000_000 + at,
    warn,
  });
  const endRequest = () => {
    const arrival = { protocol: 'http', tenant: 'alice', traceparent: undefined } as const;
    const begun = tracing.begin(arrival);
    new RequestRecord(arrival, clock.now, (record) => begun?.end(requestTree(record))).end('200');
  };
  return { tracing, timers, endRequest };
}

describe('the spans of requests', () => {
  it('spans go to a collector as OTLP, in the trace of their client', async () => {
    const { ask, close } = await serve(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url }));
    const before = Date.now();
    expect((await ask({ traceparent: SAMPLED })).status).toBe(200);
    await close();
    expect(collector.problems).toEqual([]);
    expect(collector.requests.map((request) => request.url)).toEqual(['/v1/traces']);
    expect(collector.resources).toEqual([{ 'service.name': 'farlight', 'service.version': '1.2.3' }]);
    const request = named('POST /v2/models/{model}/infer');
    expect(request).toMatchObject({
      traceId: TRACE,
      parentSpanId: PARENT,
      kind: 2,
      status: {},
      attributes: {
        'http.request.method': 'POST',
        'http.route': '/v2/models/{model}/infer',
        'http.response.status_code': 200,
        'farlight.model': 'echo-INT32',
        'farlight.version': '1',
        'farlight.tenant': 'default',
      },
    });
    expect(Math.abs(request.start - before)).toBeLessThan(60_000);
    for (const name of ['receive', 'answer']) {
      expect(named(name)).toMatchObject({ traceId: TRACE, parentSpanId: request.spanId, kind: 1 });
      expect(named(name).start).toBeGreaterThanOrEqual(request.start);
      expect(named(name).end).toBeLessThanOrEqual(request.end);
    }
  });

  it('spans take over the traceparent in the metadata of gRPC, of calls and of streams', async () => {
    const { server, close } = await serve(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url }));
    const client = inferenceClient(new URL(server.grpcUrl?.replace('grpc:', 'http:') ?? '').host);
    ends.push(() => client.close());
    const metadata = new (grpc().Metadata)();
    metadata.set('traceparent', SAMPLED);
    const request = {
      model_name: 'echo-INT32',
      inputs: [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } }],
    };
    const methods = client as unknown as Record<string, (...args: unknown[]) => never>;
    await new Promise((resolve) => methods.ModelInfer?.(request, metadata, resolve));
    const stream = methods.ModelStreamInfer?.(metadata) as unknown as NodeJS.ReadWriteStream;
    await new Promise((resolve) => {
      stream.on('data', () => {}).on('end', () => resolve(undefined));
      stream.write(request as never);
      stream.write({ ...request, model_name: 'nosuch' } as never);
      stream.end();
    });
    await close();
    expect(collector.problems).toEqual([]);
    const requests = collector.spans.filter(({ kind }) => kind === 2);
    expect(requests).toHaveLength(3);
    for (const { traceId, parentSpanId, attributes } of requests) {
      expect({ traceId, parentSpanId }).toEqual({ traceId: TRACE, parentSpanId: PARENT });
      expect(attributes).toMatchObject({ 'rpc.system': 'grpc', 'rpc.method': 'ModelInfer' });
    }
    const codes = requests.map(({ attributes }) => attributes['rpc.response.status_code']).sort();
    expect(codes).toEqual(['NOT_FOUND', 'OK', 'OK']);
    expect(new Set(collector.spans.map(({ spanId }) => spanId)).size).toBe(collector.spans.length);
  });

  it('spans of a real engine have the queue, the batch, the run on its lane, and functions', async () => {
    const { engine, time } = await serveEngine(
      { slow: mapping((x) => x, { wait: { base: 20, perItem: 0 }, gpu: { base: 100, perItem: 0 } }) },
      { lanes: 2 },
    );
    const settings = otlpSettings(url, {});
    if (!settings) throw new Error('no settings');
    const tracing = new OtlpTracing({
      settings,
      version: '1',
      clock: time,
      time: (at) => 1_700_000_000_000 + at,
      warn: (sentence) => warnings.push(sentence),
    });
    const { Observatory } = await import('#farlight/infer/statistics/observatory.js');
    const observatory = new Observatory({
      service: engine,
      name: 'farlight',
      version: '1',
      urls: () => [],
      now: () => time.now(),
      time: () => 1_700_000_000_000 + time.now(),
      tracing,
    });
    const ask = async () => {
      const seen = observatory.begin({ protocol: 'http', tenant: 'alice', traceparent: undefined });
      seen.asked('slow', undefined);
      await engine.infer({ model: 'slow', inputs: [int32('x', [1, 2], [1, 2])], onSpan: seen.onSpan });
      seen.done('1');
      seen.end('200');
    };
    const first = ask();
    await time.pass(1);
    await time.until(Promise.all([first, ask(), ask()]));
    await tracing.close();
    expect(collector.problems).toEqual([]);
    const run = collector.spans.filter(({ name }) => name === 'run model slow version 1');
    expect(run.map(({ attributes }) => attributes['farlight.batch.size']).sort()).toEqual([1, 2, 2]);
    const [alone, two, three] = run.sort((a, b) => a.start - b.start);
    expect(alone?.attributes).toMatchObject({ 'farlight.part': 'gpu', 'farlight.batch.items': 1 });
    expect(alone?.attributes['farlight.lane']).toMatch(/^gpu#\d$/);
    expect(two?.attributes['farlight.run']).toBe(three?.attributes['farlight.run']);
    expect(Math.round((alone?.end ?? 0) - (alone?.start ?? 0))).toBe(100);
    expect(collector.spans.some(({ name }) => name === 'batch model slow version 1')).toBe(true);
    const roots = collector.spans.filter(({ kind }) => kind === 2);
    expect(new Set(roots.map(({ traceId }) => traceId)).size).toBe(3);
    for (const { traceId, parentSpanId } of run) {
      expect(roots.some((root) => root.traceId === traceId && root.spanId === parentSpanId)).toBe(true);
    }
  });

  it('a failed span has the reason, and is an error only if the server is at fault', async () => {
    const { service, ask, close } = await serve(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url }));
    await ask({}, 'nosuch');
    service.failures.set('echo-INT32', new Error('a bug'));
    await ask();
    await close();
    const [unknown, broken] = collector.spans.filter(({ kind }) => kind === 2);
    expect(unknown).toMatchObject({
      status: {},
      attributes: { 'error.type': 'not-found', 'http.response.status_code': 404 },
    });
    expect(broken).toMatchObject({
      status: { code: 2, message: 'a bug' },
      attributes: { 'error.type': 'internal', 'http.response.status_code': 500 },
    });
  });

  it('a trace that the client does not record, or the sampler leaves out, has no spans', async () => {
    const { ask, close } = await serve(
      tracingOf({
        OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0',
      }),
    );
    await ask({ traceparent: `00-${TRACE}-${PARENT}-00` });
    await ask();
    await ask({ traceparent: SAMPLED });
    await close();
    expect(collector.spans.filter(({ kind }) => kind === 2)).toHaveLength(1);
  });

  it('spans are sent again if the collector is busy, and dropped if it refuses them', async () => {
    collector.answers.push(503, 503);
    const { ask, close } = await serve(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url }));
    await ask();
    await expect.poll(() => collector.spans.length, { timeout: 30_000 }).toBe(3);
    expect(warnings).toEqual([`no spans can be sent to ${url}/v1/traces: it answers with status 503`]);
    collector.answers.push(400);
    await ask();
    await close();
    expect(warnings.at(-1)).toContain('status 400');
    expect(collector.spans).toHaveLength(3);
  }, 60_000);

  it('spans delay nothing if nobody listens', async () => {
    await collector.close();
    const { ask, close } = await serve(tracingOf({ OTEL_EXPORTER_OTLP_ENDPOINT: url }));
    expect((await ask()).status).toBe(200);
    await close();
    expect(warnings).toEqual([`no spans can be sent to ${url}/v1/traces: ECONNREFUSED`]);
  });

  it('all spans are sent at the end, also behind a send under way', async () => {
    await closedBehindASend();
    expect(collector.problems).toEqual([]);
    expect(collector.spans.filter(({ kind }) => kind === 2)).toHaveLength(2);
  });

  it('the last spans are sent at the end, also behind a send that the collector refuses', async () => {
    collector.answers.push(400);
    await closedBehindASend();
    expect(collector.spans.filter(({ kind }) => kind === 2)).toHaveLength(1);
  });

  it('spans are given up at the end if the collector does not answer', async () => {
    collector.gate = new Promise(() => {});
    const { tracing, timers, endRequest } = tracerWithTimers();
    endRequest();
    timers.shift()?.();
    await expect.poll(() => collector.requests.length).toBe(1);
    const closed = tracing.close();
    for (const timer of timers) timer();
    await closed;
    expect(warnings).toEqual([`no spans can be sent to ${url}/v1/traces: it did not answer in time`]);
  });

  it("spans go by the process's @opentelemetry/api, below the active span", async () => {
    const exporter = new InMemorySpanExporter();
    trace.setGlobalTracerProvider(
      new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
    );
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
    const env = { OTEL_EXPORTER_OTLP_ENDPOINT: url };
    const { ask, close } = await serve(tracingOf(env, registeredTelemetry()));
    await ask({ traceparent: SAMPLED });
    await close();
    expect(collector.requests).toEqual([]);
    const spans = exporter.getFinishedSpans();
    const request = spans.find(({ name }) => name === 'POST /v2/models/{model}/infer');
    expect(request?.spanContext().traceId).toBe(TRACE);
    expect(request?.parentSpanContext).toMatchObject({ spanId: PARENT, isRemote: true });
    const answer = spans.find(({ name }) => name === 'answer');
    expect(answer?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId);
    expect(answer?.instrumentationScope).toMatchObject({ name: 'farlight', version: '1.2.3' });
    expect(request?.attributes).toMatchObject({ 'farlight.model': 'echo-INT32' });
  });
});

describe('where spans go', () => {
  const settings = (env: Record<string, string>, address?: string) => otlpSettings(address, env);

  it('spans go nowhere without an address, or if the environment says so', () => {
    expect(settings({})).toBeUndefined();
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_SDK_DISABLED: 'true' })).toBeUndefined();
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_TRACES_EXPORTER: 'none' })).toBeUndefined();
  });

  it('the option counts before the variables', () => {
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4318/' })?.url).toBe('http://a:4318/v1/traces');
    expect(settings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a' }, 'http://b:1')?.url).toBe(
      'http://b:1/v1/traces',
    );
    const own = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a',
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://b/x',
    };
    expect(settings(own)?.url).toBe('https://b/x');
  });

  it('spans have the headers, the name and the attributes of the variables', () => {
    const { headers, resource } =
      settings(
        {
          OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%3Db, x = y ',
          OTEL_SERVICE_NAME: 'gpu',
          OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,deployment.environment=test',
        },
        'http://a',
      ) ?? {};
    expect(headers).toEqual({ 'api-key': 'a=b', x: 'y' });
    expect(resource).toEqual({ 'service.name': 'gpu', 'deployment.environment': 'test' });
  });

  it('the sampler decides by the trace, as all servers of that trace do', () => {
    const half = settings(
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.5' },
      'http://a',
    );
    expect(half?.samples(`${'f'.repeat(19)}0000000000000`, undefined)).toBe(true);
    expect(half?.samples(`${'0'.repeat(19)}fffffffffffff`, true)).toBe(false);
    const based = settings({ OTEL_TRACES_SAMPLER: 'parentbased_always_off' }, 'http://a');
    expect([undefined, true, false].map((parent) => based?.samples(TRACE, parent))).toEqual([
      false,
      true,
      false,
    ]);
  });

  it.each<[string, Record<string, string>, string | undefined, RegExp]>([
    [
      'no URL',
      {},
      'localhost:4318',
      /is no address of a collector for spans; write --otlp http:\/\/HOST:4318/,
    ],
    [
      'grpc',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://a:4317', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' },
      undefined,
      /spans are sent over HTTP/,
    ],
    ['a sampler', { OTEL_TRACES_SAMPLER: 'jaeger_remote' }, 'http://a', /OTEL_TRACES_SAMPLER=jaeger_remote/],
    [
      'a ratio',
      { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '2' },
      'http://a',
      /from 0 to 1/,
    ],
    ['headers', { OTEL_EXPORTER_OTLP_HEADERS: 'key' }, 'http://a', /OTEL_EXPORTER_OTLP_HEADERS has an entry/],
  ])('a wrong setting is refused in a sentence: %s', (_, env, address, sentence) => {
    expect(() => settings(env, address)).toThrow(sentence);
  });
});
