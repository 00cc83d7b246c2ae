import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Engine, JobDescription, JobStatus } from '#farlight/pool/engines/engine.js';
import { checkImage, checkLimits } from '#farlight/pool/engines/engine.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { SlurmEngine } from '#farlight/pool/engines/slurm.js';
import { SlurmSite, whyNoSlurm } from '../support/engines/slurm-site.js';

const folder = mkdtempSync(join(tmpdir(), 'engines-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let jobs = 0;

/** A job that runs this in a shell. */
function job(script: string, changes: Partial<JobDescription> = {}): JobDescription {
  jobs += 1;
  return {
    name: `conformance.${process.pid}.${jobs}`,
    term: jobs,
    command: ['/bin/sh', '-c', script],
    environment: { PATH: '/usr/bin:/bin', GREETING: "it's a $HOME" },
    log: join(folder, `job-${jobs}.log`),
    limits: {},
    ...changes,
  };
}

/** The promises that every engine keeps. */
function conformance(engine: () => Engine): void {
  const phase = async (id: string) => (await engine().status(id)).phase;
  const ended = async (id: string) => {
    await expect.poll(() => phase(id), { timeout: 40_000, interval: 200 }).toBe('ended');
    return engine().status(id) as Promise<JobStatus & { phase: 'ended' }>;
  };
  const running = async (id: string) => {
    await expect.poll(() => phase(id), { timeout: 40_000, interval: 200 }).toBe('running');
    return engine().status(id) as Promise<JobStatus & { phase: 'running' }>;
  };
  const log = ({ log: path }: JobDescription) => readFileSync(path, 'utf8');

  it('runs a command with its variables and no secret of this program, and keeps what it prints', async () => {
    process.env.FARLIGHT_SECRET = 'flt_secret';
    const one = job('echo "$GREETING"; env; echo to stderr >&2');
    const end = await ended(await engine().submit(one));
    delete process.env.FARLIGHT_SECRET;
    expect(end).toMatchObject({ code: 0, isCertain: true });
    expect(log(one)).toMatch(/^it's a \$HOME$/m);
    expect(log(one)).toMatch(/^to stderr$/m);
    expect(log(one)).not.toContain('flt_secret');
  });

  it('runs a command in the folder that is named', async () => {
    const one = job('pwd', { folder });
    await ended(await engine().submit(one));
    expect(log(one).trim()).toBe(realpathSync(folder));
  });

  it('says with which code a command ended, and that none was found', async () => {
    const failed = await engine().submit(job('exit 7'));
    expect(await ended(failed)).toMatchObject({ code: 7, why: 'it ended with exit code 7', isCertain: true });
    const none = await engine().submit(job('', { command: ['/no/such/program'] }));
    expect(await ended(none)).toMatchObject({ isCertain: true });
  });

  it('says where a job runs, and ends it when it is cancelled', async () => {
    const one = job('trap "echo asked to end; exit 0" TERM; echo runs; while :; do sleep 0.1; done');
    const id = await engine().submit(one);
    const { node, address, incarnation } = await running(id);
    expect([node, address, incarnation]).toEqual([
      expect.stringMatching(/./),
      expect.stringMatching(/^127\./),
      expect.stringMatching(/^\d+$/),
    ]);
    await expect.poll(() => log(one)).toContain('runs');
    await engine().cancel(id);
    expect(await ended(id)).toMatchObject({ why: 'it was cancelled', isCertain: true });
    await expect.poll(() => log(one)).toContain('asked to end');
    // Once more: it is over, and that is no error.
    await engine().cancel(id);
  });

  it('lists the jobs of a name that are not over, with their terms', async () => {
    const one = job('sleep 60');
    const id = await engine().submit(one);
    await running(id);
    const listed = await engine().list(one.name);
    expect(listed).toMatchObject([{ id, name: one.name, term: one.term }]);
    engine().cancelNow(id);
    await ended(id);
    expect(await engine().list(one.name)).toEqual([]);
  });

  it('never runs two jobs of one name at the same time', async () => {
    const lock = join(folder, `alone-${jobs}`);
    const script = `mkdir ${lock} || echo BOTH; sleep 2; rmdir ${lock}; echo alone`;
    const one = job(script);
    const two = job(script, { name: one.name });
    const first = await engine().submit(one);
    await running(first);
    const second = await engine().submit(two);
    await expect
      .poll(async () => engine().status(second), { interval: 100 })
      .toMatchObject({ phase: 'queued', why: expect.stringContaining('same name') });
    for (const id of [first, second]) await ended(id);
    expect(log(one) + log(two)).toBe('alone\nalone\n');
  });

  it('does not claim that a job which it does not know has ended for certain', async () => {
    expect(await engine().status('4242424242')).toMatchObject({ phase: 'ended', isCertain: false });
  });

  it('shows in its rendering the command and the log, and no variable of this program', () => {
    process.env.FARLIGHT_SECRET = 'flt_secret';
    const one = job('echo done');
    const text = engine().render(one);
    delete process.env.FARLIGHT_SECRET;
    for (const part of ['echo done', one.log, 'GREETING']) expect(text).toContain(part);
    expect(text).not.toContain('flt_secret');
  });
}

describe('the image of a job', () => {
  const digest = `sha256:${'5'.repeat(64)}`;

  it('is a digest where the engine fetches it, and a folder where it is unpacked', () => {
    const registry = { name: 'local', images: 'registry' } as const;
    for (const image of [`ghcr.io/a/b@${digest}`, `node:22@${digest}`, digest, undefined])
      checkImage(registry, image);
    for (const image of ['node', 'node:22', '/bundles/node', `node@${digest}0`, `no de@${digest}`])
      expect(() => checkImage(registry, image)).toThrow(/needs an image by its digest/);
    const bundle = { name: 'slurm', images: 'bundle' } as const;
    checkImage(bundle, '/bundles/node');
    expect(() => checkImage(bundle, digest)).toThrow(/slurm needs the path of an OCI bundle/);
  });
});

describe('the engine local', () => {
  const engine = new LocalEngine(join(folder, 'jobs'));
  conformance(() => engine);

  it('refuses a limit that it cannot enforce', () => {
    expect(() => checkLimits(engine, { gpus: '1' })).toThrow(/local cannot limit a job's gpus; leave it out/);
  });

  it('refuses an image, since its jobs have no container', async () => {
    const image = `node@sha256:${'0'.repeat(64)}`;
    await expect(engine.submit(job('true', { image }))).rejects.toThrow(
      /local runs jobs without a container/,
    );
  });

  it('ends a job whose watching process was killed, when it is cancelled', async () => {
    const one = job('echo $$; exec sleep 60');
    const id = await engine.submit(one);
    await expect.poll(async () => (await engine.status(id)).phase).toBe('running');
    const runner = JSON.parse(readFileSync(join(folder, 'jobs', id, 'runner'), 'utf8'));
    process.kill(runner.pid, 'SIGKILL');
    await expect
      .poll(() => spawnSync('ps', ['-p', runner.pid, '-o', 'stat=']).stdout.toString().trim())
      .toMatch(/^(Z.*)?$/);
    expect(await engine.status(id)).toMatchObject({ phase: 'running' });
    await engine.cancel(id);
    await expect.poll(async () => (await engine.status(id)).phase).toBe('ended');
  });
});

describe.skipIf(whyNoSlurm !== undefined)(
  `the engine slurm${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`,
  () => {
    const engine = new SlurmEngine();
    let site: SlurmSite;
    beforeAll(async () => {
      site = await SlurmSite.start();
      process.env.SLURM_CONF = site.conf;
    });
    afterAll(() => site?.close());
    conformance(() => engine);

    it('says why Slurm refuses a job', async () => {
      await expect(engine.submit(job('true', { limits: { partition: 'none' } }))).rejects.toThrow(
        /Slurm refuses the job: .*partition/i,
      );
    });

    it('says why a job waits', async () => {
      const gpus = { gpus: '1' };
      const ids: string[] = [];
      for (let count = 0; count < 3; count += 1)
        ids.push(await engine.submit(job('sleep 60', { limits: gpus })));
      const whys = async () => {
        const all = await Promise.all(ids.map((id) => engine.status(id)));
        return all.map((status) => (status.phase === 'queued' ? status.why : status.phase));
      };
      await expect.poll(whys).toContain('no node is free (Resources)');
      for (const id of ids) await engine.cancel(id);
    });
  },
  120_000,
);
