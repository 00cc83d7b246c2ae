import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { checkTrace, type TraceDocument, type TraceEvent } from '../support/files/trace-format.js';
import { type Finished, runFarlight } from '../support/hosts/farlight-command.js';
import { REPOSITORY } from '../support/repository.js';

let host: TestHost;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-trace-'));
  host = await testHost({ adapter: 'null' });
});

afterAll(async () => {
  await host.close();
  rmSync(folder, { recursive: true });
});

/** `farlight run --trace FILE ... -- node ARGS`. */
function trace(file: string, args: string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  const all = ['run', '--host', host.url, '--trace', join(folder, file), '--', 'node', ...args];
  return runFarlight(all, env, REPOSITORY);
}

const read = (file: string) => checkTrace(readFileSync(join(folder, file), 'utf8'));

/** A program that asks for a device, and then runs `source`. */
function program(name: string, source: string): string {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(
    file,
    `const device = await (await navigator.gpu.requestAdapter()).requestDevice({ label: 'the device' });\n${source}\n`,
  );
  return file;
}

interface Drawn extends TraceEvent {
  dur: number;
}

/** The slices of all tracks whose name begins with this. */
function slices({ traceEvents }: TraceDocument, track: string): Drawn[] {
  const threads = traceEvents.filter(
    ({ name, args }) => name === 'thread_name' && String(args?.name).replace(/ \d+$/, '') === track,
  );
  const isOf = ({ pid, tid }: TraceEvent) => threads.some((each) => each.pid === pid && each.tid === tid);
  return traceEvents.filter((event): event is Drawn => event.ph === 'X' && isOf(event));
}

interface About {
  hostTells: boolean;
  clockErrorMs: number;
  adapter: string;
}

const aboutOf = (document: TraceDocument) => (document.otherData.sessions as About[])[0] as About;

it('a trace of MoveNet is valid, and shows the program, the wire, the executor and the GPU on one time axis', async () => {
  const { code, stderr } = await trace('movenet.json', ['bench/workloads/movenet.mjs'], { BENCH_RUNS: '8' });
  expect([code, stderr]).toEqual([
    0,
    expect.stringMatching(/open in https:\/\/ui\.perfetto\.dev: .*movenet\.json/),
  ]);
  const document = read('movenet.json');
  const about = aboutOf(document);
  expect(about).toMatchObject({ hostTells: true, adapter: host.adapter.name });
  expect(about.clockErrorMs).toBeGreaterThan(0);
  expect(about.clockErrorMs).toBeLessThan(Number.POSITIVE_INFINITY);
  const calls = slices(document, 'WebGPU calls');
  expect(calls.length).toBeGreaterThan(5000);
  expect(calls.some(({ name }) => name === 'send flush')).toBe(true);
  const flushes = slices(document, 'executor');
  expect(slices(document, 'up').length).toBe(flushes.length);
  expect(slices(document, 'GPU').length).toBeGreaterThan(0);
  expect(slices(document, 'compilations').length).toBeGreaterThan(20);
  expect(slices(document, 'down').length).toBeGreaterThan(5);
  // The host's time for a reply lies within the program's wait, apart from the error of the clocks.
  const waits = slices(document, 'waits').filter(({ name }) => name === 'GPUBuffer.mapAsync');
  const answers = slices(document, 'awaited commands').filter(({ name }) => name === 'GPUBuffer.mapAsync');
  expect(waits.length).toBeGreaterThan(8);
  expect(answers.length).toBe(waits.length);
  for (const [index, { ts, dur }] of answers.entries()) {
    const wait = waits[index] as Drawn;
    const error = about.clockErrorMs * 1000;
    expect(ts).toBeGreaterThanOrEqual(wait.ts - error);
    expect(ts + dur).toBeLessThanOrEqual(wait.ts + wait.dur + error);
  }
  const counters = new Set(document.traceEvents.filter(({ ph }) => ph === 'C').map(({ name }) => name));
  expect(counters).toEqual(new Set(['bytes', 'objects', 'waits']));
}, 120_000);

describe('a trace is whole and valid', () => {
  const submit = `device.createBuffer({ size: 4, usage: 8, label: 'what was made' }); await device.queue.onSubmittedWorkDone();`;
  const ends: [string, string, number][] = [
    ['ends by itself', '', 0],
    ['ends by process.exit', 'process.exit(3);', 3],
    ['throws', 'throw new Error("crashed");', 1],
    [
      'is killed by a signal',
      // Slices are written a few times a second: the call and its wait, and the flush on the line and on the
      // host.
      `const { readFileSync } = await import('node:fs');
       const drawn = (words) => JSON.parse(readFileSync(process.env.FARLIGHT_TRACE, 'utf8')).traceEvents
         .filter(({ ph, name }) => ph === 'X' && words.test(name)).length;
       while (drawn(/onSubmittedWorkDone/) < 2 || drawn(/^flush/) < 2) await new Promise((r) => setTimeout(r, 20));
       process.kill(process.pid, 'SIGKILL');`,
      137,
    ],
  ];
  it.each(ends)('a trace is whole and valid if the program %s', async (how, source, code) => {
    const name = how.replaceAll(' ', '-');
    const finished = await trace(`${name}.json`, [program(name, `${submit}\n${source}`)]);
    expect(finished.code).toBe(code);
    const document = read(`${name}.json`);
    const made = slices(document, 'WebGPU calls').find((call) => call.name === 'GPUDevice.createBuffer');
    expect(made?.args).toEqual({ label: 'what was made' });
    expect(slices(document, 'waits').map((wait) => wait.name)).toContain('GPUQueue.onSubmittedWorkDone');
    expect(slices(document, 'executor').length).toBeGreaterThan(0);
  });
});

it('a trace shows the labels of pipelines, passes and buffers', async () => {
  const source = `
    const module = device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    const pipeline = await device.createComputePipelineAsync({ label: 'matmul', layout: 'auto', compute: { module } });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass({ label: 'layer 1' });
    pass.setPipeline(pipeline);
    pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    const result = device.createBuffer({ label: 'result', size: 4, usage: GPUBufferUsage.MAP_READ });
    await result.mapAsync(GPUMapMode.READ);`;
  await trace('labels.json', [program('labels', source)]);
  const document = read('labels.json');
  const labelled = (track: string) =>
    slices(document, track).flatMap(({ name, args }) => (args?.label ? [`${name} ${args.label}`] : []));
  expect(labelled('WebGPU calls')).toEqual(
    expect.arrayContaining([
      'GPUDevice.createComputePipelineAsync the device',
      'GPUCommandEncoder.beginComputePass layer 1',
      'GPUComputePassEncoder.dispatchWorkgroups layer 1',
    ]),
  );
  expect(labelled('waits')).toEqual(
    expect.arrayContaining(['GPUDevice.createComputePipelineAsync matmul', 'GPUBuffer.mapAsync result']),
  );
  expect(labelled('awaited commands')).toEqual(
    expect.arrayContaining(['GPUDevice.createComputePipelineAsync matmul', 'GPUBuffer.mapAsync result']),
  );
  expect(slices(document, 'compilations').map(({ name }) => name)).toContain("GPUComputePipeline 'matmul'");
});

it('each program of a traced run has its own file', async () => {
  const other = program('other', '');
  const source = `const { spawnSync } = await import('node:child_process'); spawnSync('node', [${JSON.stringify(other)}]);`;
  await trace('both.json', [program('both', source)]);
  const files = readdirSync(folder).filter((name) => /^both\..*json$/.test(name));
  expect(files).toHaveLength(2);
  for (const file of files) expect(slices(read(file), 'WebGPU calls').length).toBeGreaterThan(0);
});

it('a traced program that asks for no GPU leaves no file, and farlight run says so', async () => {
  const file = join(folder, 'idle.mjs');
  writeFileSync(file, 'console.log(1);');
  const { code, stderr } = await trace('idle.json', [file]);
  expect([code, stderr]).toEqual([0, expect.stringMatching(/asked for no GPU, so there is no .*idle\.json/)]);
  expect(existsSync(join(folder, 'idle.json'))).toBe(false);
});

it('farlight run rejects a trace file that cannot be written, before the program starts', async () => {
  const { code, stderr } = await trace('nowhere/out.json', [join(folder, 'never.mjs')]);
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^farlight: --trace .*nowhere\/out\.json cannot be written \(ENOENT\); name a file[^\n]*\n$/,
  );
});

it('progress is shown only on a terminal: elsewhere stderr belongs to the program', async () => {
  const file = program(
    'quiet',
    `
    for (let at = 0; at < 8; at += 1) device.createShaderModule({ code: '@compute @workgroup_size(1) fn main() {}' });
    await new Promise((resolve) => setTimeout(resolve, 1300));
    process.stderr.write('its own\\n');`,
  );
  const command = ['run', '--host', host.url, '--', 'node', file];
  const { stderr } = await runFarlight(command, { FARLIGHT_PROGRESS: '1' });
  expect(stderr).toBe('its own\n');
});
