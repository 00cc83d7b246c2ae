import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { close, create, globals } from '#farlight/client/index.js';
import { type TestHost, testHost } from '#farlight/testing/index.js';

const exporter = new InMemorySpanExporter();
let host: TestHost;

beforeAll(async () => {
  host = await testHost({ adapter: 'null', spares: 0 });
});

afterAll(() => host.close());

afterEach(() => {
  exporter.reset();
  trace.disable();
  context.disable();
});

function setUp(): void {
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

/** Makes the awaited calls of a device, within a span of the program. */
async function program(): Promise<void> {
  const gpu = create({ host: host.url });
  await trace.getTracer('program').startActiveSpan('inference', async (span) => {
    const device = await (await gpu.requestAdapter())?.requestDevice({ label: 'the device' });
    if (!device) throw new Error('no device');
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    await device.createComputePipelineAsync({ label: 'matmul', layout: 'auto', compute: { module } });
    const buffer = device.createBuffer({ label: 'result', size: 4, usage: globals.GPUBufferUsage.MAP_READ });
    await buffer.mapAsync(globals.GPUMapMode.READ);
    await buffer.mapAsync(globals.GPUMapMode.READ).catch(() => {});
    await device.queue.onSubmittedWorkDone();
    span.end();
  });
  close(gpu);
}

it('each wait of a program is a span, a child of the active span, with the address of the host', async () => {
  setUp();
  await program();
  const spans = exporter.getFinishedSpans();
  const parent = spans.find(({ name }) => name === 'inference');
  const waits = spans.filter(({ name }) => name !== 'inference');
  expect(waits.map(({ name, attributes }) => [name, attributes['farlight.label']])).toEqual([
    ['GPU/requestAdapter', undefined],
    ['GPUAdapter/requestDevice', 'the device'],
    ['GPUDevice/createComputePipelineAsync', 'matmul'],
    ['GPUBuffer/mapAsync', 'result'],
    ['GPUBuffer/mapAsync', 'result'],
    ['GPUQueue/onSubmittedWorkDone', undefined],
  ]);
  for (const wait of waits) {
    expect(wait.kind).toBe(SpanKind.CLIENT);
    expect(wait.parentSpanContext?.spanId).toBe(parent?.spanContext().spanId);
    expect(wait.instrumentationScope.name).toBe('farlight');
    expect(wait.attributes).toMatchObject({
      'rpc.system': 'farlight',
      'server.address': '127.0.0.1',
      'server.port': Number(new URL(host.url).port),
    });
  }
  const failed = waits.filter(({ status }) => status.code === SpanStatusCode.ERROR);
  expect(failed.map(({ name, attributes }) => [name, attributes['error.type']])).toEqual([
    ['GPUBuffer/mapAsync', 'OperationError'],
  ]);
});

it('a program without OpenTelemetry makes no spans, and its session works as usual', async () => {
  await program();
  expect(exporter.getFinishedSpans()).toEqual([]);
});
