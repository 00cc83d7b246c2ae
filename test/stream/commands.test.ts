import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { statusLines } from '../../cli/stream/status.js';
import { runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { until } from '../support/machine/processes.js';
import { REPOSITORY } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

const FUNCTIONS = `
export function make({ n }) {
  return { x: { data: Int32Array.of(Number(n.data[0])) } };
}
export function sum({ x, total }) {
  if (x.data[0] === 7) throw new Error('seven is not liked');
  const data = Int32Array.of(total.data[0] + x.data[0]);
  return { total: { data }, y: { data } };
}
export function weigh({ x, total }) {
  const data = Int32Array.of(total.data[0] + 1000 * x.data[0]);
  return { total: { data }, y: { data } };
}
export function fail() {
  throw new Error('this state has no such form');
}
`;
const APPLICATION = `
sources:
  numbers: { generator: f.mjs#make, values: [x], keys: 2, every: 10 }
steps:
  sum:
    function: f.mjs#sum
    inputs: { x: numbers.x }
    state: { total: "INT32[1]" }
sinks:
  totals: { file: totals.jsonl, values: { y: sum.y } }
`;

/** A folder with the application, and what its file of totals has. */
function applicationFolder() {
  const folder = temporary.make();
  const file = join(folder, 'app.yaml');
  const write = (text: string) => writeFileSync(file, text);
  writeFileSync(join(folder, 'f.mjs'), FUNCTIONS);
  write(APPLICATION);
  const lines = (name: string) => {
    const path = join(folder, name);
    const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  };
  return {
    folder,
    file,
    write,
    totals: () => lines('totals.jsonl'),
    errors: () => lines('app.state/errors.jsonl'),
  };
}

async function started(file: string) {
  const { child, printed, done } = startFarlight([
    'stream',
    'run',
    file,
    '--no-durable',
    '--listen',
    '127.0.0.1:0',
    '--dashboard',
    '127.0.0.1:0',
  ]);
  cleanups.push(() => child.kill('SIGKILL'));
  await until(() => printed.stdout.includes('ready') || child.exitCode !== null);
  expect(printed.stdout, printed.stderr).toMatch(
    /^farlight stream ready: http:\/\/127\.0\.0\.1:\d+ app, version [0-9a-f]{12}, epoch \d+\n/,
  );
  return { child, printed, done };
}

/** The offsets of these outputs are all there once, and by key in order. */
function expectWhole(totals: { offset: number; key: string }[]): void {
  const offsets = totals.map(({ offset }) => offset);
  expect(new Set(offsets).size).toBe(offsets.length);
  for (const key of ['n0', 'n1']) {
    const mine = totals.filter((each) => each.key === key).map(({ offset }) => offset);
    expect(mine).toEqual([...mine].sort((a, b) => a - b));
  }
}

describe('farlight stream', () => {
  it('upgrades an application that runs, goes on after kill -9 with what was committed, and rolls back', async () => {
    const { file, write, totals, errors } = applicationFolder();
    let running = await started(file);
    await until(() => totals().length > 20);
    write(APPLICATION.replace('f.mjs#sum', 'f.mjs#weigh'));

    const plan = await runFarlight(['stream', 'upgrade', file, '--plan']);
    expect(plan.stdout).toContain('~ step sum: changed; f.mjs#sum becomes f.mjs#weigh; its state is kept\n');
    const upgraded = await runFarlight(['stream', 'upgrade', file]);
    expect(upgraded.stdout).toMatch(/\nthe new version runs, since epoch 1\n$/);
    const cut = totals().length;
    await until(() => totals().length > cut + 20);
    running.child.kill('SIGKILL');
    await running.done;

    // The file is broken, and then it says the old version again. The one that is committed runs.
    write('sources:');
    running = await started(file);
    expect(running.printed.stdout).toContain('apply it with farlight stream upgrade\n');
    running.child.kill('SIGKILL');
    await running.done;
    write(APPLICATION);
    running = await started(file);
    expect(running.printed.stdout).toContain('apply it with farlight stream upgrade\n');
    const again = totals().length;
    await until(() => totals().length > again + 20);
    const back = await runFarlight(['stream', 'rollback', file]);
    expect(back.stdout).toContain('f.mjs#weigh becomes f.mjs#sum');
    const status = JSON.parse((await runFarlight(['stream', 'status', file, '--json'])).stdout);
    expect(status).toMatchObject({ name: 'app', isUpgrading: false });
    const [, dashboard = ''] = /^dashboard: http:\/\/(\S+)$/m.exec(running.printed.stdout) ?? [];
    const top = await runFarlight(['top', '--dashboard', dashboard]);
    expect(top.stdout).toMatch(/^sum +[\d,]+ .* f\.mjs#sum /m);
    expect(top.stdout).toMatch(/ since epoch \d+ +~ sum$/m);
    running.child.kill('SIGTERM');
    expect(await running.done).toMatchObject({ code: 0 });

    // Each output once, and every total follows from the one before it of its key: one step by 1 or by 1000.
    const all = totals();
    expectWhole(all);
    expect(errors().map(({ offset }) => offset)).toEqual([7]);
    // By key, since the last record may have its output before the one before it, which has the other key.
    for (const [first, key] of ['n0', 'n1'].entries()) {
      const mine = all.filter((line) => line.key === key).map(({ offset }) => offset);
      const every = Array.from({ length: ((mine.at(-1) ?? 0) - first) / 2 + 1 }, (_, at) => first + 2 * at);
      expect(mine).toEqual(every.filter((offset) => offset !== 7));
    }
    const factors = [...all]
      .sort((a, b) => a.offset - b.offset)
      .map((line, _, sorted) => {
        const before = sorted.findLast(({ key, offset }) => key === line.key && offset < line.offset);
        return line.offset === 0 ? 1 : (line.values.y - (before?.values.y ?? 0)) / line.offset;
      });
    expect(factors.join('')).toMatch(/^1+(1000)+1*$/);
  }, 120_000);

  it('keeps the old version where the new one cannot be had, and says why', async () => {
    const { file, write, totals } = applicationFolder();
    await started(file);
    await until(() => totals().length > 5);
    const before = JSON.parse((await runFarlight(['stream', 'status', file, '--json'])).stdout);
    const refused = async (text: string, ...args: string[]) => {
      write(text);
      const { code, stdout, stderr } = await runFarlight(['stream', 'upgrade', file, ...args]);
      expect(code).toBe(1);
      return stdout + stderr;
    };
    expect(await refused(APPLICATION.replace('x: numbers.x', 'x: numbers.z'))).toContain(
      'app.yaml:7:18: Source "numbers" gives x, and not "z".\n',
    );
    expect(await refused(APPLICATION.replace('f.mjs#sum', 'f.mjs#product'))).toContain(
      'f.mjs has no function "product" among its exports',
    );
    expect(await refused(APPLICATION.replace('INT32[1]', 'INT32[2]'))).toContain('has another form');
    const source = '\n  more: { nats: a.b, types: { x: "FP32[1]" } }\nsteps:';
    expect(await refused(APPLICATION.replace('\nsteps:', source))).toContain('--nats');
    const failing = APPLICATION.replace('    state:', '    migrate: f.mjs#fail\n    state:');
    expect(await refused(failing)).toMatch(
      /the state of step "sum" for key "n\d" cannot be converted: .*no such form/,
    );
    const after = JSON.parse((await runFarlight(['stream', 'status', file, '--json'])).stdout);
    expect(after.version).toBe(before.version);
    const now = totals().length;
    await until(() => totals().length > now + 5);
    expectWhole(totals());
  }, 120_000);

  it('is run by one process at a time, and says so where none runs', async () => {
    const { file, folder } = applicationFolder();
    const none = await runFarlight(['stream', 'status', file]);
    expect(none.stderr).toContain('start it with farlight stream run');
    await started(file);
    const second = await runFarlight(['stream', 'run', file, '--listen', 'off']);
    expect(second.stderr).toBe(
      `farlight: another process runs the application in ${join(folder, 'app.state')}; end it first, or name another folder with --state\n`,
    );
  }, 60_000);
});

describe('the example of voices', () => {
  it('hears on each microphone by itself when somebody begins to speak, and when they end', async () => {
    const example = join(REPOSITORY, 'examples/voices');
    const folder = temporary.make();
    execFileSync(process.execPath, [join(example, 'make.mjs'), '2', '1', folder]);
    cpSync(join(example, 'voices.mjs'), join(folder, 'voices.mjs'));
    const file = join(folder, 'voices.yaml');
    const text = readFileSync(join(example, 'voices.yaml'), 'utf8');
    writeFileSync(file, text.replace('samples: 512', 'samples: 512, pace: fast'));
    const { child, printed, done } = startFarlight([
      'stream',
      'run',
      file,
      '--adapter',
      'software',
      '--listen',
      'off',
      '--no-dashboard',
    ]);
    cleanups.push(() => child.kill('SIGKILL'));
    const heard = () =>
      existsSync(join(folder, 'speech.jsonl')) ? readFileSync(join(folder, 'speech.jsonl'), 'utf8') : '';
    // A second is 31 records. The voice of the second microphone begins in the middle.
    const all = 2 * 31;
    const isDone = async () => {
      const { stdout } = await runFarlight(['stream', 'status', file]);
      return stdout.includes(`step decide: ${all} records`) || child.exitCode !== null;
    };
    while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 500));
    child.kill('SIGTERM');
    expect(await done, printed.stderr).toMatchObject({ code: 0 });
    const events = heard()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    const of = (key: string) => events.filter((each) => each.key === key).map(({ values }) => values.event);
    expect(of('mic-01.wav')).toEqual(['begins', 'ends']);
    expect(of('mic-02.wav')).toEqual(['begins', 'ends', 'begins']);
  }, 300_000);
});

it('a status has one record and one output in the singular', () => {
  const steps = [{ uid: 'double', records: 1, failed: 0, running: 0, ms: 2 }];
  const lines = statusLines({
    name: 'app',
    version: '1',
    epoch: 1,
    passing: 1,
    passed: 0,
    isUpgrading: false,
    sources: [{ name: 'in', records: 1, waiting: 1, aside: 0 }],
    steps,
    sinks: [{ name: 'out', outputs: 1 }],
  });
  expect(lines).toEqual([
    'app, version 1, epoch 1: 1 record on its way',
    'source in: 1 record, 1 waits',
    'step double: 1 record, 0 failed, 2.0 ms each',
    'sink out: 1 output',
  ]);
});
