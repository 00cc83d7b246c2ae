import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Engine } from '#farlight/pool/engines/engine.js';
import { writeEnd } from '#farlight/pool/environment/command-end.js';
import { followCommand } from '#farlight/pool/environment/follow.js';
import type { Running } from '../support/hosts/farlight-command.js';
import { PoolFolder } from '../support/pools/pool-folder.js';
import { CLI } from '../support/repository.js';

let pool: PoolFolder;
afterEach(() => pool?.close());

const isRoot = process.getuid?.() === 0;
/** A pool whose node does not see the files of the program. It is told so after ten seconds, while other tests run. */
let blind: { pool: PoolFolder; up: Running };
beforeAll(() => {
  const { mount } = shared();
  const elsewhere = `mount -t tmpfs none ${mount} && exec '${process.execPath}' '${CLI}' "$@"`;
  const command = JSON.stringify(['unshare', '--mount', 'sh', '-c', elsewhere, 'sh']);
  writeFileSync(pool.file, `files: { mount: ${mount} }\ngpu: { command: ${command} }`);
  if (isRoot) blind = { pool, up: pool.start('pool', 'up', '--gpu', pool.file) };
});

/** `farlight`, for commands of a shell. */
const FARLIGHT = `'${process.execPath}' '${CLI}'`;

/** A pool of this machine whose sides share a folder, with a file beside its own that is copied there. */
function shared(yaml = ''): { mount: string; workspace: string } {
  pool = new PoolFolder('');
  const mount = join(pool.folder, 'shared');
  mkdirSync(mount);
  writeFileSync(join(pool.folder, 'input'), 'from here');
  writeFileSync(pool.file, `engine: local\nfiles: { mount: ${mount}, replicate: [input] }\n${yaml}`);
  return { mount, workspace: join(mount, 'test') };
}

const run = (script: string): Running => pool.start('pool', 'run', pool.file, '--', 'sh', '-c', script);
const offload = (script: string) => `${FARLIGHT} offload -- sh -c '${script}'`;
const jobs = async () => (await pool.hosts()).map(({ name }) => name.replace(/^farlight\.test\.\w+\./, ''));
const printed = (running: Running, text: string) =>
  expect.poll(() => running.printed.stdout, { timeout: 60_000 }).toContain(text);

describe('a command in a pool', () => {
  it('runs on the CPU side, and offloads another to a GPU node: files, output and exit codes come through', async () => {
    const { workspace } = shared();
    writeFileSync(join(pool.folder, 'more'), 'and more');
    const gpu = offload('cat input; echo made > output; echo told >&2; exit 7');
    const { stdout, stderr, code } = await run(`pwd; ${gpu}; echo code $?; cat output; exit 3`).done;
    expect({ stdout, stderr, code }).toEqual({
      stdout: `${workspace}\nfrom herecode 7\nmade\n`,
      stderr: 'told\n',
      code: 3,
    });
    expect(readFileSync(join(workspace, 'output'), 'utf8')).toBe('made\n');
    // Nothing is left but the files.
    expect(await jobs()).toEqual([]);
    expect(readdirSync(join(workspace, '.farlight/commands'))).toEqual([]);
  }, 60_000);

  it('is heard while it runs, has its node while it runs, and gives it back', async () => {
    shared('max: 1');
    const running = run(
      `echo begun; ${offload('echo on a node; while [ ! -e go ]; do sleep 0.1; done')}; sleep 600`,
    );
    await printed(running, 'begun\non a node\n');
    expect((await jobs()).sort()).toEqual(['1', expect.stringMatching(/^cpu-/)]);
    writeFileSync(join(pool.folder, 'shared/test/go'), '');
    await expect.poll(jobs, { timeout: 60_000, interval: 50 }).toEqual([expect.stringMatching(/^cpu-/)]);
    // Ctrl-C ends the rest.
    running.child.kill('SIGINT');
    expect(await running.done).toMatchObject({ code: 130, stderr: 'farlight: the command was cancelled\n' });
    expect(await jobs()).toEqual([]);
  }, 90_000);

  it('is cancelled, with its node, once nobody reads its output', async () => {
    shared();
    const forEver = (to: string) => `while :; do echo more ${to}; sleep 0.1; done`;
    const cases = [
      [run(forEver('')), 'stdout'],
      [run(forEver('>&2')), 'stderr'],
      [pool.start('offload', '--pool', pool.file, '--', 'sh', '-c', forEver('')), 'stdout'],
    ] as const;
    for (const [{ child, printed, done }, name] of cases) {
      await expect.poll(() => printed[name], { timeout: 60_000 }).toContain('more');
      child[name].destroy();
      const { code, stdout, stderr } = await done;
      expect([code, { stdout, stderr }[name === 'stdout' ? 'stderr' : 'stdout']]).toEqual([141, '']);
    }
    expect(await jobs()).toEqual([]);
  }, 60_000);

  it.skipIf(!existsSync('/dev/full'))(
    'fails where its output is lost on a full disk',
    async () => {
      shared();
      const full = openSync('/dev/full', 'w');
      try {
        const child = spawn(
          process.execPath,
          [CLI, 'pool', 'run', pool.file, '--', 'sh', '-c', 'echo lost; exit 3'],
          {
            env: { ...process.env, ...pool.env },
            stdio: ['ignore', full, 'pipe'],
          },
        );
        const [stderr, [code]] = await Promise.all([text(child.stderr as Readable), once(child, 'close')]);
        expect([code, stderr]).toEqual([
          1,
          "farlight: the command's output cannot be written (ENOSPC); redirect it to a place that can be written\n",
        ]);
      } finally {
        closeSync(full);
      }
    },
    60_000,
  );

  it('keeps its exit code where it had ended before it was cancelled', async () => {
    shared();
    const exchange = pool.folder;
    const cancel = new AbortController();
    let phase = 'running';
    const engine = {
      status: async () => ({ phase, why: 'it was ended' }),
      cancel: async () => {
        phase = 'ended';
      },
    } as unknown as Engine;
    const follow = (onOutput: () => void) =>
      followCommand({ engine, id: '1', exchange, onOutput, signal: cancel.signal });
    for (const name of ['stdout', 'stderr']) writeFileSync(join(exchange, name), 'text');
    writeEnd(exchange, { code: 3, stdout: 4, stderr: 4 });
    expect(await follow(() => cancel.abort())).toEqual({ code: 3, isCutShort: false });
  });

  it('waits with its output for a reader that takes no more, until it is cancelled', async () => {
    shared();
    const exchange = pool.folder;
    const cancel = new AbortController();
    const engine = {
      status: async () => ({ phase: 'ended', why: 'it has ended' }),
      cancel: async () => {},
    } as unknown as Engine;
    writeFileSync(join(exchange, 'stdout'), Buffer.alloc(1 << 20));
    writeFileSync(join(exchange, 'stderr'), 'told');
    writeEnd(exchange, { code: 0, stdout: 1 << 20, stderr: 4 });
    const taken: string[] = [];
    const onOutput = (name: string, { length }: Uint8Array) => {
      taken.push(`${name} ${length}`);
      return name === 'stdout' ? new Promise<void>(() => {}) : undefined;
    };
    const followed = followCommand({ engine, id: '1', exchange, onOutput, signal: cancel.signal });
    await expect.poll(() => taken).toHaveLength(2);
    cancel.abort();
    expect(await followed).toEqual({ code: 0, isCutShort: true });
    expect(taken).toEqual(['stdout 65536', 'stderr 4']);
  });

  it('leaves its reader a turn where it prints faster than that reads', async () => {
    shared();
    const exchange = pool.folder;
    const engine = { status: async () => ({ phase: 'ended', why: 'it has ended' }) } as unknown as Engine;
    writeFileSync(join(exchange, 'stdout'), 'more');
    let pieces = 0;
    let hasHadTurn = false;
    setImmediate(() => {
      hasHadTurn = true;
    });
    const onOutput = () => {
      pieces += 1;
      if (!hasHadTurn && pieces < 1000) appendFileSync(join(exchange, 'stdout'), 'more');
      else writeEnd(exchange, { code: 0, stdout: 4 * pieces, stderr: 0 });
    };
    writeFileSync(join(exchange, 'stderr'), '');
    await followCommand({ engine, id: '1', exchange, onOutput });
    expect(hasHadTurn).toBe(true);
    expect(pieces).toBeLessThan(1000);
  });

  it('is not called ready where its pool was being made ready and a signal came', async () => {
    const { mount } = shared();
    writeFileSync(pool.file, `files: { mount: ${mount} }\ngpu: { command: [sh, -c, 'sleep 600'] }`);
    const up = pool.start('pool', 'up', '--gpu', pool.file);
    await printed(up, 'CPU side: sees these files\n');
    up.child.kill('SIGINT');
    const { code, stdout, stderr } = await up.done;
    expect([code, stderr]).toEqual([130, 'farlight: the command was cancelled\n']);
    expect(stdout).not.toContain('ready');
  }, 60_000);

  it('is cancelled with its node where its terminal closes, which sends the signal more than once', async () => {
    shared();
    const running = pool.start('offload', '--pool', pool.file, '--', 'sh', '-c', 'echo on a node; sleep 600');
    await printed(running, 'on a node\n');
    // Signals of one kind that wait for a process are one signal.
    const closing = setInterval(() => running.child.kill('SIGHUP'), 10);
    onTestFinished(() => clearInterval(closing));
    const { stderr } = await running.done;
    expect([stderr, await jobs()]).toEqual(['farlight: the command was cancelled\n', []]);
  }, 60_000);

  it('waits in line for a node where the pool may have no more', async () => {
    const { workspace } = shared('max: 1');
    const one = offload('echo $$ >> order; sleep 0.3; echo $$ >> order');
    const { code } = await run(`${one} & ${one} & wait`).done;
    expect(code).toBe(0);
    const [a, b, c, d] = readFileSync(join(workspace, 'order'), 'utf8').trim().split('\n');
    expect([a, c]).toEqual([b, d]);
    expect(a).not.toBe(c);
  }, 60_000);

  it('ends with its node where the program that started it is killed', async () => {
    const { workspace } = shared('lease: 2');
    const running = run(`${offload('echo on a node; sleep 600')}`);
    await printed(running, 'on a node');
    running.child.kill('SIGKILL');
    await expect.poll(jobs, { timeout: 60_000, interval: 50 }).toEqual([]);
    // The folder of a killed program's command goes with the pool; the files stay.
    expect((await pool.farlight('pool', 'describe', pool.file)).stdout).toMatch(
      /^commands run in \/.*\/shared\/test, which gets 1 source$/m,
    );
    expect((await pool.farlight('pool', 'down', pool.file)).code).toBe(0);
    expect(existsSync(join(workspace, '.farlight/commands'))).toBe(false);
    expect(existsSync(join(workspace, 'input'))).toBe(true);
  }, 90_000);

  it('says what is wrong in one sentence: no such command, no pool, no mount, no such GPU', async () => {
    const { mount } = shared();
    const missing = await pool.start('pool', 'run', pool.file, '--', 'no-such-command').done;
    expect(missing).toMatchObject({ code: 127, stderr: 'farlight: command not found: no-such-command\n' });
    const none = await pool.start('offload', '--', 'true').done;
    expect(none).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/no pool is named; start the program with/),
    });
    const gpu = await pool.start('offload', '--pool', pool.file, '--gpu', 'a100', '--', 'true').done;
    expect(gpu.stderr).toMatch(/^farlight: the engine local cannot limit a job's gpus/);
    const option = await pool.start('pool', 'run', pool.file, '--gpu', '1', '--', 'true').done;
    expect(option).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^farlight: farlight pool run has no option --gpu; write the command/),
    });
    writeFileSync(pool.file, `files: { mount: ${mount}/none }`);
    const up = await pool.start('pool', 'up', pool.file).done;
    expect(up.stderr).toMatch(/^farlight: there is no .*\/none here, which the pool test names as its mount/);
    expect(existsSync(join(mount, 'none'))).toBe(false);
    writeFileSync(pool.file, `files: { mount: ${mount} }`);
    rmSync(join(mount, 'test'), { recursive: true });
    writeFileSync(join(mount, 'test'), '');
    const unmade = await pool.start('pool', 'up', pool.file).done;
    expect(unmade.stderr).toMatch(
      /shared\/test cannot be made \(EEXIST\); see that the pool's mount is there/,
    );
  }, 60_000);

  it.skipIf(!isRoot)(
    'is refused where a node does not see the files of the program',
    async () => {
      ({ pool } = blind);
      const { stdout, stderr } = await blind.up.done;
      expect(stdout).toMatch(/CPU side: sees these files\n$/);
      expect(stderr).toMatch(
        /the pool test got no host: .*the node \S+ does not see \/.*; name in the pool's file a mount/,
      );
      expect(await pool.hosts()).toEqual([]);
    },
    60_000,
  );

  it('can be offloaded by a program, and cancelled', async () => {
    shared();
    const program = `
      import { offload } from 'farlight/pool';
      const states = [];
      let text = '';
      const onOutput = (name, bytes) => { text += name + ' ' + Buffer.from(bytes); };
      const options = { pool: process.argv[1], inputs: ['own'], onOutput, onState: (state) => states.push(state) };
      console.log(await offload(['sh', '-c', 'cat own; exit 5'], options), text, states.at(-1));
      const cancel = new AbortController();
      const stop = () => cancel.abort(new Error('enough'));
      const long = offload(['sh', '-c', 'echo begun; sleep 600'], { ...options, signal: cancel.signal, onOutput: stop });
      console.log(await long.catch((error) => error.message));
    `;
    writeFileSync(join(pool.folder, 'own'), 'own');
    const { stdout, stderr } = await pool.node(program, pool.address).done;
    expect(stderr).toBe('');
    expect(stdout).toBe('5 stdout own ready\nenough\n');
    await expect.poll(jobs).toEqual([]);
  }, 60_000);
});
