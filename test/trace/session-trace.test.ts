import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { close, create, FarlightError } from '#farlight/client/index.js';
import { type TestHost, type Transport, testHost } from '#farlight/testing/index.js';
import { checkTrace, type TraceDocument } from '../support/files/trace-format.js';
import { until } from '../support/machine/processes.js';

let folder: string;
let host: TestHost;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-trace-'));
  host = await testHost({ adapter: 'null', transport: 'memory' });
});

afterEach(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

/** Runs a traced session, and returns the trace when it has this many waits. */
async function traced(file: string, transport: Transport, waits: number): Promise<TraceDocument> {
  const trace = join(folder, file);
  const gpu = create({ transport, trace });
  const device = await (await gpu.requestAdapter())?.requestDevice();
  await device?.queue.onSubmittedWorkDone();
  close(gpu);
  const read = () => checkTrace(readFileSync(trace, 'utf8'));
  await until(() => named(read(), 'GPUQueue.onSubmittedWorkDone') >= waits);
  return read();
}

const named = ({ traceEvents }: TraceDocument, what: string) =>
  traceEvents.filter(({ name, ph }) => ph === 'X' && name === what).length;

/** The host as one that does not know of activity. It must not be asked: it would take that for a mistake. */
function unaware(transport: Transport): Transport {
  return {
    target: transport.target,
    open: (hello, events) =>
      transport.open(hello, {
        onWelcome: ({ activity: _, ...welcome }) => events.onWelcome(welcome),
        onFrame: (frame) => events.onFrame(frame),
        onDrain: () => events.onDrain(),
        onClose: (reason) => events.onClose(reason),
      }),
  };
}

it('asks nothing of a host without activity reports, and the trace says so', async () => {
  const document = await traced('unaware.json', unaware(host.transport), 2);
  expect(document.otherData.sessions).toEqual([
    { adapter: host.adapter.name, farlight: expect.any(String), hostTells: false, spansLost: 0 },
  ]);
  expect(named(document, 'GPU.requestAdapter')).toBe(2);
  expect(named(document, 'flush 1')).toBe(0);
});

it('draws a host with activity reports, and states the error of its clock', async () => {
  const document = await traced('aware.json', host.transport, 3);
  expect(document.otherData.sessions).toMatchObject([{ hostTells: true, clockErrorMs: expect.any(Number) }]);
  // Asked, waited for, and answered.
  expect(named(document, 'GPUQueue.onSubmittedWorkDone')).toBe(3);
});

it('two sessions of a program share a file, each with its own tracks', async () => {
  await traced('two.json', host.transport, 3);
  const document = await traced('two.json', host.transport, 6);
  expect(document.otherData.sessions).toHaveLength(2);
  const names = document.traceEvents
    .filter(({ name }) => name === 'process_name')
    .map(({ args }) => args?.name);
  expect(names).toEqual(expect.arrayContaining(['wire', 'wire of session 2']));
});

it('the file has every session that a host accepted, and no other', async () => {
  const trace = join(folder, 'again.json');
  let isThere = false;
  const { target } = host.transport;
  const transport: Transport = {
    target,
    open(hello, events) {
      if (isThere) return host.transport.open(hello, events);
      setImmediate(() => events.onClose(new FarlightError('UNREACHABLE', 'nobody is there')));
      return { send: () => true, close() {}, ref() {}, unref() {} };
    },
  };
  const gpu = create({ transport, trace });
  const asked = () => gpu.requestAdapter().catch((error: FarlightError) => error.code);
  expect([await asked(), await asked()]).toEqual(['UNREACHABLE', 'UNREACHABLE']);
  isThere = true;
  const device = await (await gpu.requestAdapter())?.requestDevice();
  await host.close();
  await device?.lost;
  host = await testHost({ adapter: 'null', transport: 'memory' });
  expect(await asked()).toBeInstanceOf(Object);
  const sessions = () => checkTrace(readFileSync(trace, 'utf8')).otherData.sessions as object[];
  await until(() => sessions().length === 2);
  const document = checkTrace(readFileSync(trace, 'utf8'));
  expect(document.otherData.sessions).toMatchObject([{ adapter: 'null' }, { adapter: 'null' }]);
  // The program's own calls are there for all of them.
  expect(named(document, 'GPU.requestAdapter')).toBeGreaterThanOrEqual(4);
  close(gpu);
});

it('create throws if the trace file cannot be made', () => {
  const trace = join(folder, 'nowhere', 'out.json');
  expect(() => create({ transport: host.transport, trace })).toThrow(/cannot be written .*name a file/);
});
