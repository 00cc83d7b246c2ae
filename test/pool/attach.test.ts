import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, test } from 'vitest';
import { readPool } from '#farlight/pool/definition/pool-file.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { jobName } from '#farlight/pool/host/job.js';
import { Journal } from '#farlight/pool/journal/journal.js';
import { outputOf } from '../support/hosts/farlight-command.js';
import { PoolFolder, REGISTER } from '../support/pools/pool-folder.js';

const RIGHT = '3 6 9 12';
const FAST = 'gpu: { adapter: "null" }';

/** Tests that run side by side, each with pools of its own. */
const it = test.extend<{ poolOf: (yaml: string) => PoolFolder }>({
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from the pattern which fixtures this one needs.
  poolOf: async ({}, use) => {
    const pools: PoolFolder[] = [];
    await use((yaml) => {
      const pool = new PoolFolder(yaml);
      pools.push(pool);
      return pool;
    });
    for (const pool of pools) await pool.close();
  },
});

describe.concurrent('a program whose host is of a pool', { timeout: 120_000 }, () => {
  it('gets one with its first request, gives it back, and gets another', async ({ expect, poolOf }) => {
    // A lease so long that no host ends because it lapses.
    const pool = poolOf('engine: local\nidle: 0.2\nlease: 600\ngpu: { adapter: software }');
    const program = pool.program();
    expect(await program.tell('drop')).toBe('dropped');
    // Until now it has cost nothing.
    expect(existsSync(pool.state)).toBe(false);
    expect(await program.tell('compute')).toBe(RIGHT);
    expect(await pool.hosts()).toMatchObject([{ term: 1, status: { phase: 'running' } }]);
    // A device that lives keeps its host: without one that ends after two looks, 0.4 s.
    await pause(700);
    expect(await pool.hosts()).toMatchObject([{ term: 1 }]);
    await program.tell('drop');
    await pool.gone();
    expect(program.child.exitCode).toBeNull();
    expect(await program.tell('compute')).toBe(RIGHT);
    expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
    // It ends with a device that lives.
    expect((await program.end()).code).toBe(0);
    await pool.gone();
  });

  it.for(['auto', 'tls'])(
    'gives it back while it does nothing with a device that lives, and goes on at another one (line: %s)',
    async (line, { expect, poolOf }) => {
      const settings = `engine: local\nidle: 0.2\nlease: 600\npark: 0.5\nline: ${line}`;
      const pool = poolOf(`${settings}\ngpu: { adapter: software }`);
      const program = pool.program();
      expect(await program.tell('compute')).toBe(RIGHT);
      await pool.gone();
      expect(await program.tell('again')).toBe('9 18 27 36');
      // By the journal: on a busy machine this one, too, has been given back by now.
      expect(pool.readyHosts()).toContainEqual(expect.objectContaining({ slot: 1, term: 2 }));
      expect((await program.end()).code).toBe(0);
      await pool.gone();
    },
  );

  it('shares a host with another program where the pool may have no more', async ({ expect, poolOf }) => {
    const pool = poolOf(`engine: local\nmax: 1\n${FAST}`);
    const programs = [pool.program(), pool.program(), pool.program()];
    const said = await Promise.all(programs.map((program) => program.tell('compute')));
    expect(said.filter((line) => /Error/.test(line))).toEqual([]);
    expect(await pool.hosts()).toHaveLength(1);
  });

  it('gets a host of its own where the pool may have more, and never more than those', async ({
    expect,
    poolOf,
  }) => {
    const pool = poolOf(`engine: local\nmax: 2\n${FAST}`);
    const [one, two, three] = [pool.program(), pool.program(), pool.program()];
    await one.tell('compute');
    await two.tell('compute');
    expect(await pool.hosts()).toHaveLength(2);
    await three.tell('compute');
    expect(await pool.hosts()).toHaveLength(2);
  });

  it('leaves a host that ends by itself where it is killed', async ({ expect, poolOf }) => {
    const pool = poolOf(`engine: local\nidle: 600\nlease: 2\n${FAST}`);
    const program = pool.program();
    await program.tell('compute');
    expect(await pool.hosts()).toHaveLength(1);
    program.child.kill('SIGKILL');
    await pool.gone();
    expect(pool.journal().get('1.1.log')).toContain('"ended":"no program renewed its lease"');
  });

  it('is told that its host was killed, does not wait for it, and gets another', async ({
    expect,
    poolOf,
  }) => {
    const pool = poolOf(`engine: local\nlease: 10\n${FAST}`);
    const program = pool.program();
    await program.tell('compute');
    const [host] = await pool.hosts();
    const { pid } = JSON.parse(readFileSync(join(pool.state, 'jobs', host?.id ?? '', 'process'), 'utf8'));
    process.kill(pid, 'SIGKILL');
    // A session that waits for a host to come back says so.
    expect(await program.tell('lost')).toBe(
      'unknown: the host of the pool test has ended (it was killed (SIGKILL))',
    );
    await program.tell('drop');
    await expect.poll(() => program.tell('compute'), { timeout: 60_000 }).not.toMatch(/Error/);
    expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
  });

  it('says why its host failed, and where its output is', async ({ expect, poolOf }) => {
    const pool = poolOf(
      'engine: local\ngpu: { command: [/bin/sh, -c, "echo farlight: no GPU here >&2; exit 3"] }',
    );
    const said = await pool.program().tell('compute');
    expect(said).toMatch(
      /^FarlightError: the pool test got no host: it ended with exit code 3 \(no GPU here\); its output is in \/.*\.log$/,
    );
  });

  describe('that has to wait', () => {
    /** Starts another job with the name of the pool's first host, so that the engine queues that. */
    const occupied = async (pool: PoolFolder) => {
      const name = jobName(readPool(pool.address).key, 1);
      const engine = new LocalEngine(join(pool.state, 'jobs'));
      const job = { name, term: 0, command: ['sleep', '600'], environment: {}, log: '/dev/null', limits: {} };
      const id = await engine.submit({ ...job, environment: { PATH: process.env.PATH ?? '' } });
      while ((await engine.status(id)).phase !== 'running') await pause(50);
      return { engine, name, id };
    };

    it('gives up at the limit, says why, and cancels its job', async ({ expect, poolOf }) => {
      const pool = poolOf(`engine: local\nwait: 1\n${FAST}`);
      const { engine, name } = await occupied(pool);
      const said = await pool.program().tell('compute');
      expect(said).toMatch(
        /the pool test had no host within 1 seconds \(queued: the job of the same name before it still runs\)/,
      );
      await expect.poll(async () => (await engine.list(name)).length).toBe(1);
    });

    it.for(['SIGINT', 'SIGTERM'] as const)(
      'cancels its job when it is ended by %s',
      async (signal, { expect, poolOf }) => {
        const pool = poolOf(`engine: local\n${FAST}`);
        const { engine, name } = await occupied(pool);
        const program = pool.program();
        program.child.stdin.write('compute\n');
        await expect.poll(async () => (await engine.list(name)).length, { interval: 100 }).toBe(2);
        program.child.kill(signal);
        await program.done;
        expect(program.child.signalCode).toBe(signal);
        await expect.poll(async () => (await engine.list(name)).length).toBe(1);
      },
    );

    it('cancels its job when the program closes its GPU', async ({ expect, poolOf }) => {
      const pool = poolOf(`engine: local\n${FAST}`);
      const { engine, name } = await occupied(pool);
      const program = pool.program();
      program.child.stdin.write('compute\n');
      await expect.poll(async () => (await engine.list(name)).length, { interval: 100 }).toBe(2);
      const said = [await program.tell('close'), await program.next()];
      expect(said.sort()).toEqual(['FarlightError: This GPU was closed by the program.', 'closed']);
      await expect.poll(async () => (await engine.list(name)).length).toBe(1);
    });

    it('goes on when the job before its own has ended', async ({ expect, poolOf }) => {
      const pool = poolOf(`engine: local\n${FAST}`);
      const { engine, id } = await occupied(pool);
      const program = pool.program();
      const said = program.tell('compute');
      await pause(500);
      await engine.cancel(id);
      expect(await said).not.toMatch(/Error/);
    });
  });

  it('is alone in loading pool/: a program with another host, or none, does not', async ({
    expect,
    poolOf,
  }) => {
    const pool = poolOf(FAST);
    const hooks =
      'export async function load(url, context, next) { process._rawDebug(url); return next(url, context); }';
    const quoted = JSON.stringify(`data:text/javascript,${encodeURIComponent(hooks)}`);
    const preload = `data:text/javascript,import { register } from "node:module"; register(${quoted});`;
    const script = 'const a = await navigator.gpu.requestAdapter(); (await a.requestDevice()).destroy();';
    const loaded = async (host: object) => {
      const args = ['--import', preload, '--import', REGISTER, '--input-type=module', '-e', script];
      const { FARLIGHT_HOST: _, ...env } = process.env;
      const state = { XDG_STATE_HOME: join(pool.folder, 'state') };
      const child = spawn(process.execPath, args, { env: { ...env, ...state, ...host } });
      const { stderr, code } = await outputOf(child).done;
      expect(code, stderr).toBe(0);
      // A bundle names the modules that are in it.
      const files = stderr.split('\n').filter((url) => url.includes('/dist/bundle/'));
      expect(files).not.toEqual([]);
      const texts = files.map((url) => readFileSync(fileURLToPath(url), 'utf8'));
      return texts.flatMap((text) => text.match(/^\/\/ dist\/pool\/.+$/gm) ?? []).length;
    };
    expect(await loaded({ FARLIGHT_ADAPTER: 'null' })).toBe(0);
    expect(await loaded({ FARLIGHT_HOST: pool.address })).toBeGreaterThan(5);
  });

  it('gets one host after another over TLS, and shows its token to nobody: not in jobs, logs, arguments or environments', async ({
    expect,
    poolOf,
  }) => {
    const pool = poolOf(`engine: local\nidle: 0.2\nline: tls\n${FAST}`);
    const program = pool.program();
    await program.tell('compute');
    const journal = pool.journal();
    const { token } = JSON.parse(journal.get('1.1.claim') ?? '');
    expect(token).toMatch(/^flt_/);
    const shown = [...journal].filter(([name]) => name !== '1.1.claim').map(([, text]) => text);
    const jobs = join(pool.state, 'jobs');
    for (const id of readdirSync(jobs))
      for (const file of readdirSync(join(jobs, id))) shown.push(readFileSync(join(jobs, id, file), 'utf8'));
    // Other tests run meanwhile, and name tokens in environments of theirs.
    const { folder } = pool;
    const processes = execFileSync('ps', ['axeww'], { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
    shown.push(...processes.filter((line) => line.includes(folder)));
    expect(processes.join('\n')).not.toContain(token);
    shown.push((await pool.farlight('pool', 'describe', pool.file)).stdout);
    expect(shown.join('\n')).toContain('pool host --term 1');
    expect(shown.join('\n')).not.toContain(token);
    expect(shown.join('\n')).not.toMatch(/flt_[A-Za-z0-9_-]{20}/);
    await program.tell('drop');
    await pool.gone();
    await program.tell('compute');
    expect(await pool.hosts()).toMatchObject([{ term: 2 }]);
  });

  it('is started by farlight run --pool, and a crashed one is cleaned up after by farlight pool down', async ({
    expect,
    poolOf,
  }) => {
    const pool = poolOf(`engine: local\n${FAST}`);
    const script =
      'const a = await navigator.gpu.requestAdapter(); await a.requestDevice(); process.kill(process.pid, "SIGKILL")';
    const run = await pool.farlight(
      'run',
      '--pool',
      pool.file,
      '--',
      'node',
      '--input-type=module',
      '-e',
      script,
    );
    expect(run.code).toBe(137);
    const { jobs } = JSON.parse((await pool.farlight('pool', 'ls', '--json')).stdout);
    expect(jobs).toMatchObject(await pool.hosts());
    expect(jobs).toMatchObject([{ term: 1, status: { phase: 'running' } }]);
    expect((await pool.farlight('pool', 'down', pool.file)).stdout).toBe('ended 1 host\n');
    expect(await pool.hosts()).toEqual([]);
    // An engine that a pool was used on, and that cannot be asked now, may have hosts.
    const socket = join(pool.folder, 'no-docker');
    new Journal(join(pool.state, 'pools', 'other')).noteEngine({
      engine: 'docker',
      settings: { docker: { socket } },
    });
    expect(await pool.farlight('pool', 'down', '--all')).toMatchObject({
      code: 1,
      stdout: 'ended 0 hosts\n',
      stderr: expect.stringContaining(`Docker does not run here: there is no ${socket}`),
    });
  });
});
