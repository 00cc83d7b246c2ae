import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { flipped, readRecording, rewritten } from '../support/files/recordings.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { REPOSITORY } from '../support/repository.js';

let folder: string;
let host: TestHost;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-replay-'));
  host = await testHost({ adapter: 'software', contents: join(folder, 'contents') });
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

/** A model on the software GPU compiles for tens of seconds. */
const MINUTES = 10 * 60_000;

const farlight = (...args: string[]) => runFarlight(args, {}, REPOSITORY);

const file = (name: string) => join(folder, name);

/** `farlight run --record FILE -- node ARGS` on a host that keeps all it can. */
async function record(name: string, ...args: string[]): Promise<string> {
  const finished = await farlight('run', '--host', host.url, '--record', file(name), '--', 'node', ...args);
  if (finished.code !== 0) throw new Error(`the program ended with ${finished.code}:\n${finished.stderr}`);
  return finished.stdout;
}

/** `farlight replay --json FILE` on a host of its own, which has nothing. */
async function replay(path: string) {
  const { code, stdout, stderr } = await farlight('replay', '--adapter', 'software', '--json', path);
  return { code, stderr, report: stdout === '' ? undefined : JSON.parse(stdout) };
}

function program(name: string, source: string): string {
  const path = file(`${name}.mjs`);
  writeFileSync(path, source);
  return path;
}

const COMPUTE = `
const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice({ label: 'the device' });
const bytes = Uint32Array.from({ length: 16_384 }, (_, at) => at * 2654435761);
const data = device.createBuffer({ label: 'data', size: bytes.byteLength, usage: 0x8c });
device.queue.writeBuffer(data, 0, bytes);
const module = device.createShaderModule({
  label: 'a shader that is long enough to be kept: ${'x'.repeat(100)}',
  code: \`${'// a comment that makes it long enough to be kept by its content\n'.repeat(50)}
    @group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) at: vec3u) { data[at.x] = data[at.x] * 3u + 1u; }\`,
});
const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute: { module } });
const group = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: data } }],
});
const result = device.createBuffer({ label: 'result', size: bytes.byteLength, usage: 0x9 });
for (let step = 0; step < 4; step += 1) {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(256);
  pass.end();
  encoder.copyBufferToBuffer(data, 0, result, 0, bytes.byteLength);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ, 32768, 32768);
  if (step === 1) console.log(Buffer.from(result.getMappedRange(32768, 32768)).toString('hex'));
  result.unmap();
}`;

describe('a recorded session of a program that the host knew', () => {
  let printed: string;

  beforeAll(async () => {
    const path = program('compute', COMPUTE);
    // The warm executor has the pipeline, and the host's folder has the contents.
    await farlight('run', '--host', host.url, '--', 'node', path);
    printed = await record('compute.fltrace', path);
  }, 60_000);

  it('replays with the same bytes on a host that has nothing', async () => {
    const { code, report } = await replay(file('compute.fltrace'));
    expect([code, report]).toEqual([
      0,
      expect.objectContaining({ equal: true, readbacks: 4, bytes: 4 * 32768, answers: 8, truncated: false }),
    ]);
    expect(report.program).toBe('compute.mjs');
  });

  it('a recording replays on the host where it was recorded, with the documented command', async () => {
    const { code, stdout, stderr } = await farlight('replay', '--host', host.url, file('compute.fltrace'));
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/4 readbacks of 131072 bytes.*\n.*the same, byte for byte\n$/);
  });

  it('reports one different byte of a readback: with the call, the buffer and the position', async () => {
    const bytes = Buffer.from(printed.trim(), 'hex');
    writeFileSync(file('flipped.fltrace'), flipped(file('compute.fltrace'), bytes.subarray(0, 64), 40));
    const { code, stderr, report } = await replay(file('flipped.fltrace'));
    const [was, is] = [(bytes[40] as number) ^ 1, bytes[40] as number].map(
      (byte) => `0x${byte.toString(16).padStart(2, '0')}`,
    );
    expect(code).toBe(1);
    expect(stderr).toBe(
      `farlight: GPUBuffer.mapAsync of GPUBuffer 'result' (awaited command 5) differs first at byte 32808: recorded ${was}, now ${is}\n`,
    );
    expect(report).toMatchObject({
      equal: false,
      difference: { serial: 5, call: 'GPUBuffer.mapAsync', about: "GPUBuffer 'result'", offset: 32808 },
    });
  });

  it('a recording that was cut off replays up to its end', async () => {
    const whole = readFileSync(file('compute.fltrace'));
    writeFileSync(file('cut.fltrace'), whole);
    truncateSync(file('cut.fltrace'), whole.length - 1);
    const { code, report } = await replay(file('cut.fltrace'));
    expect([code, report]).toEqual([0, expect.objectContaining({ equal: true, truncated: true })]);
  });

  const spoilt: [string, (path: string) => Uint8Array, RegExp][] = [
    ['is something else', () => Buffer.from('no recording'), /not a recording of farlight/],
    [
      'had a byte changed',
      (path) => {
        const bytes = readFileSync(path);
        bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 4;
        return bytes;
      },
      /block \d+ is damaged/,
    ],
    [
      'has replies that were not asked for',
      (path) => rewritten(path, (record) => (record.kind === 0 ? undefined : record)),
      /a reply to the command 1, which awaits none/,
    ],
    [
      'has frames that no client sends',
      (path) =>
        rewritten(path, (record) =>
          record.kind === 0 ? { ...record, bytes: Uint8Array.of(0, 1, 2, 3) } : record,
        ),
      /data that no session sends/,
    ],
  ];
  it.each(spoilt)('rejects in one sentence a recording that %s', async (what, change, words) => {
    const path = file(`${what.replaceAll(' ', '-')}.fltrace`);
    writeFileSync(path, change(file('compute.fltrace')));
    const { code, stderr, report } = await replay(path);
    expect([code, report]).toEqual([1, undefined]);
    expect(stderr).toMatch(/^farlight: the recording cannot be replayed: [^\n]+\n$/);
    expect(stderr).toMatch(words);
  });
});

it('a replay compares the errors of scopes, uncaptured errors, and compiler messages', async () => {
  const path = program(
    'mistakes',
    `const device = await (await navigator.gpu.requestAdapter()).requestDevice({ label: 'wrong' });
     device.addEventListener('uncapturederror', () => {});
     device.pushErrorScope('validation');
     device.createBuffer({ size: 4, usage: 0xffff, label: 'no such usage' });
     const error = await device.popErrorScope();
     console.log(error.message);
     device.createBuffer({ size: 4, usage: 0xffff, label: 'not caught' });
     const module = device.createShaderModule({ code: 'nonsense' });
     await module.getCompilationInfo();
     await device.createComputePipelineAsync({ layout: 'auto', compute: { module } }).catch(() => {});
     await device.queue.onSubmittedWorkDone();`,
  );
  const printed = await record('mistakes.fltrace', path);
  const { code, report } = await replay(file('mistakes.fltrace'));
  expect([code, report]).toEqual([0, expect.objectContaining({ equal: true, readbacks: 0, errors: 2 })]);
  writeFileSync(
    file('other.fltrace'),
    flipped(file('mistakes.fltrace'), Buffer.from(printed.slice(0, 20)), 3),
  );
  const other = await replay(file('other.fltrace'));
  expect([other.code, other.stderr]).toEqual([
    1,
    expect.stringMatching(/^farlight: GPUDevice.popErrorScope of GPUDevice 'wrong' .* has another reply: /),
  ]);
  writeFileSync(file('uncaught.fltrace'), flipped(file('mistakes.fltrace'), Buffer.from('not caught'), 2));
  const uncaught = await replay(file('uncaught.fltrace'));
  expect(uncaught.stderr).toMatch(
    /^farlight: error 1 that GPUDevice 'wrong' reported by itself differs: recorded validation/,
  );
});

it('a replay leaves out readbacks of GPU times, and says so', async () => {
  const path = program(
    'times',
    `const adapter = await navigator.gpu.requestAdapter();
     const device = await adapter.requestDevice({ requiredFeatures: ['timestamp-query'] });
     const querySet = device.createQuerySet({ type: 'timestamp', count: 2 });
     const resolved = device.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
     const result = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
     const encoder = device.createCommandEncoder();
     encoder.beginComputePass({ timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } }).end();
     encoder.resolveQuerySet(querySet, 0, 2, resolved, 0);
     encoder.copyBufferToBuffer(resolved, 0, result, 0, 16);
     device.queue.submit([encoder.finish()]);
     await result.mapAsync(GPUMapMode.READ);
     console.log(String(new BigUint64Array(result.getMappedRange())[0]));`,
  );
  const printed = await record('times.fltrace', path);
  expect(BigInt(printed.trim())).toBeGreaterThan(0n);
  const { code, report } = await replay(file('times.fltrace'));
  expect([code, report]).toEqual([0, expect.objectContaining({ equal: true, readbacks: 0, ofTime: 1 })]);
});

it('a replay without a reachable host fails with one sentence', async () => {
  const path = program('short', 'await (await navigator.gpu.requestAdapter()).requestDevice();');
  await record('short.fltrace', path);
  const { code, stderr } = await farlight('replay', '--host', 'grpc://127.0.0.1:1', file('short.fltrace'));
  expect([code, stderr]).toEqual([1, expect.stringMatching(/^farlight: no farlight host at [^\n]+\n$/)]);
});

it('farlight run rejects --trace with --record before the program starts', async () => {
  const { code, stderr } = await farlight('run', '--trace', file('a'), '--record', file('b'), '--', 'true');
  expect([code, stderr]).toEqual([1, expect.stringMatching(/leave out one of them\n$/)]);
});

it(
  'a network on TensorFlow.js replays bit by bit on a new host',
  async () => {
    await record('tfjs.fltrace', 'examples/tfjs/tfjs.mjs');
    const { code, report, stderr } = await replay(file('tfjs.fltrace'));
    expect([code, stderr]).toEqual([0, '']);
    expect(report).toMatchObject({ equal: true, truncated: false });
    expect(report.readbacks).toBeGreaterThanOrEqual(1);
  },
  MINUTES,
);

it(
  'Silero on ONNX Runtime replays bit by bit on a new host',
  async () => {
    await record('silero.fltrace', '--liftoff-only', 'test/e2e/programs/silero.mjs');
    // The weights are in the file.
    const up = [...readRecording(file('silero.fltrace')).records()].filter(({ kind }) => kind === 0);
    expect(up.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(1e6);
    const { code, report, stderr } = await replay(file('silero.fltrace'));
    expect([code, stderr]).toEqual([0, '']);
    expect(report).toMatchObject({ equal: true, truncated: false });
    expect(report.readbacks).toBeGreaterThanOrEqual(16);
  },
  MINUTES,
);
