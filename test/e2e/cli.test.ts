import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { SessionClient } from '../support/clients/session-client.js';
import { type Finished, startFarlight } from '../support/hosts/farlight-command.js';
import { SERVE_ALONE } from '../support/hosts/serve-process.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';
import { CLI, FAKE_EXECUTOR } from '../support/repository.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

function start(args: string[], env: NodeJS.ProcessEnv = {}) {
  const { child, printed, done } = startFarlight(args, env);
  cleanups.push(() => child.kill('SIGKILL'));
  return { child, done, output: () => printed.stdout };
}

const farlight = (...args: string[]) => start(args).done;

async function host(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
  cleanups.push(() => daemon.close());
  return daemon;
}

/** `farlight serve` in its own process, when it is ready. */
async function serve(...args: string[]) {
  const server = start([...SERVE_ALONE, ...args]);
  await until(() => server.output().includes('adapter:'));
  const url = /ready: (\S+)/.exec(server.output())?.[1] ?? '';
  return { ...server, url };
}

/**
 * The result of every mistake: an exit code that is not 0, and one sentence on stderr, at once, with a way
 * out.
 */
function expectOneSentence({ code, stdout, stderr }: Finished, words: RegExp): void {
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stdout).not.toMatch(/ready/);
  expect(code).toBeGreaterThan(0);
}

describe('what a command prints', () => {
  it('may have a reader that goes away', async () => {
    const { child, done } = start(['template', 'show', 'batch']);
    child.stdout.destroy();
    expect(await done).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it.skipIf(!existsSync('/dev/full'))('is told as lost on a full disk', async () => {
    const full = openSync('/dev/full', 'w');
    cleanups.push(() => closeSync(full));
    const child = spawn(process.execPath, [CLI, 'template', 'ls'], { stdio: ['ignore', full, 'pipe'] });
    const [stderr, [code]] = await Promise.all([text(child.stderr as Readable), once(child, 'close')]);
    expect([code, stderr]).toEqual([
      1,
      'farlight: the output cannot be written (ENOSPC); redirect it to a place that can be written\n',
    ]);
  });
});

describe('a mistake gives one sentence and a non-zero exit code:', () => {
  const TABLE: [string, string[], RegExp][] = [
    ['an unknown flag of serve', ['serve', '--nope'], /unknown option '--nope'/],
    ['an unknown flag of run', ['run', '--nope', '--', 'true'], /unknown option '--nope'/],
    ['an unknown flag of doctor', ['doctor', '--nope'], /unknown option '--nope'/],
    ['an unknown command', ['frobnicate'], /unknown command 'frobnicate'; see farlight --help/],
    ['an unknown command of pool', ['pool', 'check'], /unknown command 'check'; see farlight pool --help/],
    ['an unknown command of stream', ['stream', 'no'], /unknown command 'no'; see farlight stream --help/],
    ['a malformed number of lanes', ['stream', 'run', 'x', '--lanes', 'many'], /whole number/],
    ['a malformed number of partitions', ['stream', 'run', 'x', '--partitions', 'many'], /whole number/],
    ['a malformed number of replicas', ['stream', 'worker', 'x', '--nats-replicas', '0'], /whole number/],
    ['no program to run', ['run'], /missing required argument 'command'/],
    ['too many arguments', ['serve', 'more'], /too many arguments/],
    ['a malformed number of spares', ['serve', '--spares', 'many'], /whole number/],
    ['a folder that is a file', ['serve', '--contents', process.execPath], /is not a folder; name a folder/],
    ['a malformed size', ['serve', '--content-bytes', '4 gigs'], /number of bytes, or one of KiB/],
    [
      'no memory at all for models',
      ['infer', '--models', 'x', '--gpu-memory', '0'],
      /Give a size from 1 byte on/,
    ],
    ['a malformed time', ['serve', '--gpu-seconds', 'soon'], /Give a time of at most 24 days, such as 90s/],
    [
      'a socket in a missing folder',
      [...SERVE_ALONE, '--listen', 'unix:/no/x'],
      /name a socket in a folder that exists/,
    ],
    [
      'an address of another machine',
      [...SERVE_ALONE, '--listen', '192.0.2.1:0'],
      /name an address of this machine/,
    ],
    [
      'a malformed portal',
      ['pool', 'ls', '--portal', 'x'],
      /write https:\/\/TOKEN@HOST:PORT\?ca=PIN, or http:/,
    ],
    [
      'a pool and all pools, to end',
      ['pool', 'down', 'local', '--all'],
      /--all ends the hosts of every pool/,
    ],
    ['a part of a line twice', ['shard', 'plan', 'x', '--hosts', '2', '--link', 'rtt=1,rtt=2'], /each once/],
    ['an unknown log level', ['serve', '--log-level', 'loud'], /Allowed choices are debug, info, warn/],
    [
      'a dashboard that is not on loopback',
      ['serve', '--dashboard', '0.0.0.0:7071'],
      /listens on loopback alone.*ssh -L/,
    ],
    ['a malformed address to listen on', ['serve', '--listen', 'nowhere'], /write HOST:PORT/],
    [
      'plaintext on a public address',
      ['serve', '--listen', 'grpc://0.0.0.0:7070'],
      /not a loopback address.*write grpcs:/,
    ],
    [
      'a required token where none can be shown',
      ['serve', '--listen', 'unix:/tmp/x.sock', '--require-token'],
      /which is plaintext; .*grpcs:/,
    ],
    [
      'a certificate where none can be shown',
      [...SERVE_ALONE, '--tls-cert', 'x', '--tls-key', 'y'],
      /grpc:.* is plaintext and needs no certificate.*grpcs:/,
    ],
    [
      'a certificate without its key',
      [...SERVE_ALONE, '--listen', 'grpcs://127.0.0.1:0', '--tls-cert', 'x'],
      /needs --tls-key/,
    ],
    [
      'an adapter that does not exist, to serve',
      [...SERVE_ALONE, '--adapter', 'RTX 9090'],
      /no GPU .* "RTX 9090".*--adapter software/,
    ],
    [
      'an adapter that does not exist, to run on',
      ['run', '--adapter', 'RTX 9090', '--', 'true'],
      /no GPU .* "RTX 9090"/,
    ],
    [
      'an adapter and a host',
      ['run', '--adapter', 'null', '--host', 'grpc://127.0.0.1:1', '--', 'true'],
      /leave out one/,
    ],
    ['a malformed URL, to run on', ['run', '--host', 'http://x', '--', 'true'], /write grpc:\/\/HOST:PORT/],
    ['a malformed URL, to examine', ['doctor', '--host', '127.0.0.1:7070'], /write grpc:\/\/HOST:PORT/],
    [
      'a missing host',
      ['run', '--host', 'grpc://127.0.0.1:1', '--', 'true'],
      /no farlight host.*farlight serve/,
    ],
    [
      'a missing host, to examine',
      ['doctor', '--host', 'grpc://127.0.0.1:1'],
      /no farlight host.*farlight serve/,
    ],
    [
      'a plaintext address across the network',
      ['run', '--host', 'grpc://no.such.host.invalid:1', '--', 'true'],
      /would be plaintext across the network; write grpcs:.*ssh tunnel/,
    ],
    ['a missing program', ['run', '--', 'no-such-program'], /command not found: no-such-program/],
  ];
  for (const [name, args, words] of TABLE) {
    it(name, async () => expectOneSentence(await farlight(...args), words), 60_000);
  }

  it('a port that is in use', async () => {
    const { url } = await host();
    const listen = url.replace('grpc://', '');
    expectOneSentence(await farlight(...SERVE_ALONE, '--listen', listen), /is in use already.*another port/);
  });

  it('a host that speaks another protocol', async () => {
    const { url } = await host({ versions: { protocolMin: 7, protocolMax: 9, version: '9.9.9' } });
    const words = /protocol 3 \(farlight \d.*protocol 7 to 9 \(farlight 9\.9\.9\).*install the same version/;
    expectOneSentence(await farlight('run', '--host', url, '--', 'true'), words);
    expectOneSentence(await farlight('doctor', '--host', url), words);
  });

  it('a host without a GPU', async () => {
    const { url } = await host({ adapter: 'none', withoutGpu: true });
    const words = /there is no GPU here; install one/;
    expectOneSentence(await farlight('run', '--host', url, '--', 'true'), words);
    expectOneSentence(await farlight('doctor', '--host', url), words);
  });

  it('a host that accepts and then stays silent', async () => {
    const silent = createServer(() => {});
    cleanups.push(() => silent.close());
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', () => resolve()));
    const { port } = silent.address() as { port: number };
    const done = await farlight('run', '--host', `grpc://127.0.0.1:${port}`, '--', 'true');
    expectOneSentence(done, /nothing answers at .* within 5 seconds/);
  });
});

describe('farlight serve', () => {
  it('farlight serve prints its address, dashboard and adapter on stdout, and nothing else', async () => {
    const server = await serve('--log-level', 'silent', '--dashboard', '127.0.0.1:0');
    expect(server.output()).toMatch(
      /^farlight host ready: grpc:\/\/127\.0\.0\.1:\d+\nadapter: null \(software\)\ndashboard: http:\/\/127\.0\.0\.1:\d+\n$/,
    );
    server.child.kill('SIGTERM');
    expect(await server.done).toMatchObject({ code: 0, stderr: '' });
  });

  it('farlight serve works without a dashboard if its address is taken, and says so in a line', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => taken.once('listening', resolve));
    cleanups.push(() => taken.close());
    const { port } = taken.address() as { port: number };
    const server = await serve('--dashboard', `127.0.0.1:${port}`);
    expect(server.output()).toMatch(/^dashboard: none, since 127\.0\.0\.1:\d+ is in use already; choose/m);
    const client = new SessionClient(remoteHost(server.url));
    await client.welcome;
    client.link.close();
    await client.closed;
  });

  it('farlight serve --no-dashboard has no dashboard', async () => {
    expect((await serve('--no-dashboard')).output()).not.toMatch(/dashboard/);
  });

  it('farlight serve keeps uploads in the given folder, up to the given size', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'farlight-contents-'));
    cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
    const largest = async (...args: string[]) => {
      const { url } = await serve(...args);
      const client = new SessionClient(remoteHost(url));
      const { contents } = await client.welcome;
      client.link.close();
      return contents?.largestBytes;
    };
    expect(await largest()).toBeUndefined();
    expect(await largest('--contents', folder, '--content-bytes', '64MiB')).toBe(12 << 20);
    expect(await largest('--contents', folder, '--content-bytes', '4096')).toBe(768);
  });

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    it(`farlight serve stops cleanly on ${signal}, and leaves no process behind`, async () => {
      const server = await serve('--spares', '2');
      const executors = await executorsOf(server.child.pid ?? 0);
      expect(executors).toHaveLength(2);
      server.child.kill(signal);
      expect((await server.done).code).toBe(0);
      expect(executors.filter(isAlive)).toEqual([]);
    });
  }

  it('the executors of a killed farlight serve end, too', async () => {
    const server = await serve();
    const executors = await executorsOf(server.child.pid ?? 0);
    expect(executors).toHaveLength(1);
    server.child.kill('SIGKILL');
    await until(() => !executors.some(isAlive));
  });
});

describe('farlight run', () => {
  const sh = (script: string, ...options: string[]) => farlight('run', ...options, '--', 'sh', '-c', script);

  it('farlight run has the exit code of its program', async () => {
    expect((await sh('exit 0')).code).toBe(0);
    expect((await sh('exit 7')).code).toBe(7);
    expect((await sh('kill -TERM $$')).code).toBe(128 + 15);
  });

  it('farlight run passes stdin, stdout and stderr through', async () => {
    const { child, done } = start(['run', '--', 'sh', '-c', 'cat; echo error >&2']);
    child.stdin?.end('from stdin');
    const { code, stdout, stderr } = await done;
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'from stdin' });
    expect(stderr).toMatch(/^error\nfarlight: the program used no GPU of Farlight; [^\n]+\n$/);
  });

  it('farlight run passes the arguments unchanged', async () => {
    const { stdout } = await farlight('run', '--', 'sh', '-c', 'echo "$@"', 'sh', '--stats', 'a b', '--host');
    expect(stdout).toBe('--stats a b --host\n');
  });

  it('farlight run tells the program its host, and keeps existing Node options', async () => {
    const { url } = await host();
    const script = 'echo "$FARLIGHT_HOST|$FARLIGHT_STATS|$NODE_OPTIONS"';
    const { done } = start(['run', '--host', url, '--stats', '--', 'sh', '-c', script], {
      NODE_OPTIONS: '--no-warnings',
    });
    const { stdout } = await done;
    expect(stdout).toMatch(
      new RegExp(`^${url}\\|1\\|--no-warnings --import=file:///\\S+/client/register\\.js\\n$`),
    );
  });

  it('farlight run takes the host from FARLIGHT_HOST', async () => {
    const { done } = start(['run', '--', 'true'], { FARLIGHT_HOST: 'grpc://127.0.0.1:1' });
    expectOneSentence(await done, /no farlight host at grpc:\/\/127\.0\.0\.1:1/);
  });

  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`farlight run passes ${signal} to the program`, async () => {
      const script = `process.on('${signal}', () => { console.log('got it'); process.exit(5); });
        console.log('ready'); setInterval(() => {}, 1000);`;
      const { child, done, output } = start(['run', '--', process.execPath, '-e', script]);
      await until(() => output().includes('ready'));
      child.kill(signal);
      expect(await done).toMatchObject({ code: 5, stdout: 'ready\ngot it\n' });
    });
  }
});

describe('farlight doctor', () => {
  it('farlight doctor names the adapter of this machine and says what to do next', async () => {
    const { code, stdout } = await farlight('doctor', '--adapter', 'software');
    expect(stdout).toMatch(/SwiftShader Device \(Subzero\) \(software\)/);
    expect(stdout).toMatch(/farlight run -- node app\.mjs/);
    expect(code).toBe(0);
  });

  it('farlight doctor says why there is no adapter', async () => {
    expectOneSentence(await farlight('doctor', '--adapter', 'RTX 9090'), /no GPU .* "RTX 9090"/);
  });

  it('farlight doctor measures the line to a host', async () => {
    const { url } = await host();
    const { code, stdout } = await farlight('doctor', '--adapter', 'null', '--host', url, '--json');
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ healthy: true, local: { adapter: { name: 'null' } }, host: { url } });
    expect(report.host.adapter.name).toBe('fake');
    for (const figure of ['roundTripMs', 'uploadMiBs', 'downloadMiBs']) {
      expect(report.host.line[figure], figure).toBeGreaterThan(0);
    }
    expect(code).toBe(0);
  });
});

describe('help', () => {
  it('farlight --help shows examples, and exits with 0', async () => {
    const { code, stdout, stderr } = await farlight('--help');
    expect(stdout).toMatch(/farlight run --host grpc:\/\/127\.0\.0\.1:7070 -- node app\.mjs/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('farlight --version prints the version of the package', async () => {
    expect((await farlight('--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
