// Every command meets mistakes of the person who types it, signals, and servers that do not answer.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type Finished, runFarlight, startFarlight } from '../support/hosts/farlight-command.js';
import { SERVE_ALONE } from '../support/hosts/serve-process.js';
import { until } from '../support/machine/processes.js';
import { CLI } from '../support/repository.js';

const APPLICATION =
  'sources: { a: { http: { x: "FP32[1]" } } }\n' +
  'steps: { s: { function: app.mjs#same, inputs: { x: a.x } } }\n' +
  'sinks: { b: { file: out, values: { x: s.x } } }\n';

/** A server that takes two connections at most before it accepts them. */
const SILENT = `const server = require('node:net').createServer();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port));`;

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'farlight-test-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function expectOneSentence({ code, stderr }: Finished, expected: number, words: RegExp): void {
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
  expect(stderr).not.toMatch(/this is a bug/);
  expect(code).toBe(expected);
}

describe('a program that the system does not start', () => {
  const file = () => {
    const path = join(folder(), 'file');
    writeFileSync(path, '');
    return path;
  };

  it.each([
    ['whose path goes through a file', () => join(file(), 'app'), /cannot be run \(ENOTDIR\)/],
    ['whose path is too long', () => 'a'.repeat(5000), /a{100,}… cannot be run \(ENAMETOOLONG\)/],
    ['which may not be executed', file, /cannot be run \(EACCES\)/],
  ])('%s: one sentence, and nothing is left behind', async (_, program, words) => {
    const TMPDIR = folder();
    const done = await runFarlight(['run', '--adapter', 'null', '--', program()], { TMPDIR });
    expectOneSentence(done, 126, words);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  it('has no host that goes on, where the run has started one for it', async () => {
    const TMPDIR = folder();
    const args = ['run', '--adapter', 'null', '--emulate', 'rtt=1', '--', join(file(), 'app')];
    const { child, done } = startFarlight(args, { TMPDIR });
    cleanups.push(() => child.kill('SIGKILL'));
    expectOneSentence(await done, 126, /cannot be run/);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });
});

it('a signal while the host of a run starts ends that host, and no program is started', async () => {
  const TMPDIR = folder();
  // The host makes a folder for its bridges while it starts.
  const preload = join(folder(), 'preload.mjs');
  writeFileSync(
    preload,
    `import fs from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const { mkdtempSync } = fs;
     fs.mkdtempSync = (prefix, ...more) => {
       const made = mkdtempSync(prefix, ...more);
       if (prefix.includes('farlight-bridges-')) process.kill(process.pid, 'SIGTERM');
       return made;
     };
     syncBuiltinESMExports();\n`,
  );
  const args = ['run', '--adapter', 'null', '--emulate', 'rtt=1', '--', 'echo', 'started'];
  const { child, done } = startFarlight(args, {
    TMPDIR,
    XDG_RUNTIME_DIR: TMPDIR,
    NODE_OPTIONS: `--import=${pathToFileURL(preload)}`,
  });
  cleanups.push(() => child.kill('SIGKILL'));
  expect(await done).toEqual({ code: 128 + 15, stdout: '', stderr: '' });
  expect(readdirSync(TMPDIR)).toEqual([]);
});

it.each([
  [
    'a folder',
    () => folder(),
    /the recording \S+ cannot be read \(EISDIR\); name a file that farlight run --record wrote/,
  ],
  [
    'a missing file',
    () => join(folder(), 'no'),
    /cannot be read \(ENOENT\); name a file that farlight run --record/,
  ],
  [
    'a file of something else',
    () => process.execPath,
    /not a recording of farlight; name a file that farlight run --record/,
  ],
])('farlight replay of %s says in a sentence what to name', async (_, path, words) => {
  expectOneSentence(await runFarlight(['replay', path(), '--adapter', 'null']), 1, words);
});

/** The address of a server, once it listens. */
async function addressOf(server: Server): Promise<string> {
  cleanups.push(() => void server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a dashboard that accepts connections and stays silent', () => {
  it.each([
    ['top', []],
    ['session ls', []],
    ['session park', ['id']],
  ])('is told by farlight %s, within seconds', async (command, args) => {
    const address = await addressOf(createServer());
    const done = await runFarlight([...command.split(' '), ...args, '--dashboard', address]);
    expectOneSentence(done, 1, /there is no dashboard .* \(no answer within 5 seconds\); /);
  });
});

it.each([
  ['top', []],
  ['session ls', []],
  ['session move', ['id']],
])("farlight %s at another user's dashboard says whose it is", async (command, args) => {
  // As the page server answers, which only another user gets.
  const page = createHttpServer((_, response) =>
    response.writeHead(403).end('This page is only for the user who runs this server.'),
  );
  const address = await addressOf(page);
  const done = await runFarlight([...command.split(' '), ...args, '--dashboard', address]);
  expectOneSentence(done, 1, /is only for the user who runs that server; .* --allow-local-users$/m);
});

it.each([
  ['worker', 'app'],
  ['run', 'app.yaml'],
])('a signal ends farlight stream %s while a server of NATS does not answer', async (command, name) => {
  const nats = createServer();
  const address = await addressOf(nats);
  const cwd = folder();
  writeFileSync(join(cwd, 'app.yaml'), APPLICATION);
  writeFileSync(join(cwd, 'app.mjs'), 'export const same = (inputs) => inputs;\n');
  const flags = [
    '--nats',
    `nats://${address}`,
    ...(command === 'run' ? ['--workers', '--no-dashboard'] : []),
  ];
  const { child, done } = startFarlight(['stream', command, name, ...flags], {}, cwd);
  cleanups.push(() => child.kill('SIGKILL'));
  await once(nats, 'connection');
  child.kill('SIGTERM');
  expectOneSentence(await done, 1, /was ended while it connected to NATS/);
});

it.each([
  ['pool', 'token', 'stream', 'job'],
  ['template', 'image', 'cache', 'shard'],
])(
  '%s and %s, and %s and %s without a command show their help and end as other mistakes do',
  async (...groups) => {
    const all = await Promise.all(groups.map((group) => runFarlight([group])));
    expect(all.map(({ code }) => code)).toEqual([2, 2, 2, 2]);
    for (const { stderr, stdout } of all)
      expect([stdout, stderr]).toEqual(['', expect.stringMatching(/^Usage: /)]);
  },
);

it.each([
  ['run', 'app.yaml'],
  ['worker', 'app'],
])('farlight stream %s takes no GPU of this machine beside a host', async (command, name) => {
  const args = ['stream', command, name, '--adapter', 'null'];
  const words = /--adapter is for a GPU of this machine, but the host \S+ is named; leave out one of them/;
  expectOneSentence(await runFarlight([...args, '--host', 'grpc://127.0.0.1:1']), 1, words);
  expectOneSentence(await runFarlight(args, { FARLIGHT_HOST: 'grpc://127.0.0.1:1' }), 1, words);
});

it('a signal while an upgrade is asked for tells how to see which version runs, since it may come too late', async () => {
  const state = folder();
  const application = createHttpServer();
  await new Promise<void>((resolve) => application.listen(join(state, 'control.sock'), resolve));
  cleanups.push(() => application.close());
  const { child, done } = startFarlight(['stream', 'rollback', 'app.yaml', '--state', state]);
  cleanups.push(() => child.kill('SIGKILL'));
  await once(application, 'request');
  child.kill('SIGINT');
  expectOneSentence(await done, 1, /if it was not committed just before; farlight stream status shows/);
});

it('a folder that the system refuses to make ends farlight stream run with one sentence', async () => {
  const cwd = folder();
  writeFileSync(join(cwd, 'app.yaml'), APPLICATION);
  writeFileSync(join(cwd, 'app.mjs'), 'export const same = (inputs) => inputs;\n');
  for (const state of ['/proc/farlight/state', join(cwd, 'app.yaml', 'state')]) {
    const args = ['stream', 'run', 'app.yaml', '--no-dashboard', '--state', state];
    const { child, done } = startFarlight(args, {}, cwd);
    cleanups.push(() => child.kill('SIGKILL'));
    expectOneSentence(await done, 1, /the folder \S+ cannot be made \(\w+\); name another one with --state/);
  }
});

it.skipIf(!existsSync('/dev/full'))('a token that cannot be written is revoked', async () => {
  const XDG_CONFIG_HOME = folder();
  const env = { ...process.env, XDG_CONFIG_HOME };
  const add = `'${process.execPath}' '${CLI}' token add > /dev/full`;
  const { status, stderr } = spawnSync('sh', ['-c', add], { env, encoding: 'utf8' });
  expectOneSentence(
    { code: status, stdout: '', stderr },
    1,
    /the token cannot be written \(ENOSPC\) and is revoked; add another one/,
  );
  expect((await runFarlight(['token', 'ls'], { XDG_CONFIG_HOME })).stdout).toMatch(/^no tokens/);
});

it('a missing input of farlight offload is told, also in a pool whose nodes see all files', async () => {
  const XDG_STATE_HOME = folder();
  const pool = join(folder(), 'test.yaml');
  writeFileSync(pool, 'engine: local\n');
  const args = ['offload', '--pool', pool, '--input', 'missing', '--', 'true'];
  const done = await runFarlight(args, { XDG_STATE_HOME });
  expectOneSentence(done, 1, /there is no \/\S+\/missing; name a file or folder that the command reads/);
});

it('the host of a pool removes the folder of one that was killed, and no other', async () => {
  const TMPDIR = folder();
  const start = () => {
    const where = ['--term', '1', '--listen', `unix:${join(folder(), 's')}`, '--adapter', 'null'];
    const times = ['--lease', '600', '--idle', '600', '--first', '600'];
    const { child, done, printed } = startFarlight(['pool', 'host', ...where, ...times], { TMPDIR });
    cleanups.push(() => child.kill('SIGKILL'));
    return { child, done, isReady: () => until(() => printed.stdout.includes('ready')) };
  };
  const folders = () => readdirSync(TMPDIR).filter((name) => name.startsWith('farlight-term-'));
  const living = start();
  await living.isReady();
  const kept = folders();
  const killed = start();
  await killed.isReady();
  const [left = ''] = folders().filter((name) => !kept.includes(name));
  killed.child.kill('SIGKILL');
  await killed.done;
  expect(folders()).toContain(left);
  await start().isReady();
  await until(() => !folders().includes(left));
  expect(folders()).toHaveLength(2);
  expect(folders()).toEqual(expect.arrayContaining(kept));
});

it('farlight doctor ends after a host that nothing reaches, and not with the last try of the system', async () => {
  // Its queue is full, so that the system answers no newcomer.
  const stopped = spawn(process.execPath, ['-e', SILENT]);
  cleanups.push(() => stopped.kill('SIGKILL'));
  const port = Number(await once(stopped.stdout, 'data'));
  stopped.kill('SIGSTOP');
  for (let count = 0; count < 8; count += 1) {
    const waiting = connect(port, '127.0.0.1').on('error', () => {});
    cleanups.push(() => waiting.destroy());
  }
  const args = ['doctor', '--adapter', 'null', '--host', `grpc://127.0.0.1:${port}`];
  const { child, done } = startFarlight(args);
  cleanups.push(() => child.kill('SIGKILL'));
  expectOneSentence(await done, 1, /nothing answers at grpc:\S+ within 5 seconds/);
});

it('each time and size in a help, as defaults are, is written as a person types it', async () => {
  const helps = [['serve'], ['infer'], ['stream', 'run'], ['shard', 'plan']].map((command) =>
    runFarlight([...command, '--help']),
  );
  const defaults = (await Promise.all(helps)).flatMap(({ stdout }) => {
    const shown = stdout.replace(/\s+/g, ' ');
    return [...shown.matchAll(/--(\S+) <(?:time|size|link)>(?:(?! --).)*\(default: ([^)]*)\)/g)].map(
      ([, name, value]) => `${name} ${value}`,
    );
  });
  expect(defaults).toEqual(
    expect.arrayContaining([
      'park-keep 24h',
      'gpu-seconds 2m',
      'drain 0',
      'max-request 64MiB',
      'max-request 16MiB',
      'checkpoint 10s',
      'link rtt=1,mbit=1000',
    ]),
  );
});

it('the time of --drain may have a unit, as that of --park has', async () => {
  // Only the address is wrong.
  const { stderr } = await runFarlight(['serve', '--drain', '30s', '--park', '1m', '--listen', 'nowhere']);
  expect(stderr).toMatch(/"nowhere" is not an address to listen on/);
});

it('farlight template check lists each problem on a line, as the checks of models and streams do', async () => {
  const file = join(folder(), 'mine.yaml');
  writeFileSync(file, 'name: mine\nversion: one\n');
  const { code, stdout, stderr } = await runFarlight(['template', 'check', file]);
  expect(stdout).toMatch(/^(\S+mine\.yaml:\d+:\d+: [^\n;]+\n){3}$/);
  expect([code, stderr]).toEqual([1, `farlight: ${file} has 3 problems\n`]);
  const { problems } = JSON.parse((await runFarlight(['template', 'check', file, '--json'])).stdout);
  expect(problems).toHaveLength(3);
});

describe.skipIf(spawnSync('script', ['--version']).error)('a terminal that closes', () => {
  /** How a command ends whose terminal closes at this moment: 128 and the signal's number, where it is a signal. */
  async function closed(command: readonly string[], isThere: (printed: string) => boolean): Promise<string> {
    const code = join(folder(), 'code');
    const typed = [process.execPath, CLI, ...command].map((word) => `'${word}'`).join(' ');
    // As a shell does with its jobs when its terminal closes.
    const shell = `trap 'kill -HUP $job' HUP; ${typed} & job=$!; wait; wait $job; echo $? > ${code}.part; mv ${code}.part ${code}`;
    const terminal = spawn('script', ['-qfc', shell, '/dev/null'], { stdio: ['pipe', 'pipe', 'ignore'] });
    cleanups.push(() => terminal.kill('SIGKILL'));
    let text = '';
    terminal.stdout.on('data', (part) => {
      text += part;
    });
    await until(() => isThere(text));
    terminal.kill('SIGKILL');
    await until(() => existsSync(code));
    return readFileSync(code, 'utf8').trim();
  }

  const program = [
    'run',
    '--adapter',
    'null',
    '--',
    process.execPath,
    '-e',
    'setInterval(() => console.log("up"), 50)',
  ];

  it.each([
    ['serve', [...SERVE_ALONE], 'adapter:'],
    ['run', program, 'up'],
  ])('ends farlight %s by SIGHUP, and not with a core file', async (_, command, printed) => {
    expect(await closed(command, (text) => text.includes(printed))).toBe('129');
  });

  it('ends farlight stream rollback, which waits for an application, by SIGHUP, too', async () => {
    const state = folder();
    let isAsked = false;
    const application = createHttpServer(() => {
      isAsked = true;
    });
    await new Promise<void>((resolve) => application.listen(join(state, 'control.sock'), resolve));
    cleanups.push(() => application.close());
    const command = ['stream', 'rollback', 'app.yaml', '--state', state];
    expect(await closed(command, () => isAsked)).toBe('129');
  });
});
