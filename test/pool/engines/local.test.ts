import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { packageProgram } from '#farlight/link/machine/package-files.js';
import { checkLimits } from '#farlight/pool/engines/engine.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { LocalJob } from '#farlight/pool/engines/local-job.js';
import { identityOf } from '#farlight/pool/engines/process-identity.js';
import { anyJob, conformance, folder } from '../../support/engines/promises.js';
import { isAlive } from '../../support/machine/processes.js';

describe('the engine local', () => {
  const engine = new LocalEngine(join(folder, 'jobs'));
  conformance(() => engine);

  it('refuses a limit that it cannot enforce', () => {
    expect(() => checkLimits(engine, { gpus: '1' })).toThrow(/local cannot limit a job's gpus; leave it out/);
  });

  it('refuses an image, since its jobs have no container', async () => {
    const image = `node@sha256:${'0'.repeat(64)}`;
    await expect(engine.submit(anyJob('true', { image }))).rejects.toThrow(
      /local runs jobs without a container/,
    );
  });

  it('says at once that no process can look after a job, and why in its log', async () => {
    const log = join(folder, 'broken.log');
    const broken = anyJob('true', { log, environment: { NODE_OPTIONS: '--import /none.mjs' } });
    const id = await engine.submit(broken);
    await expect
      .poll(() => engine.status(id))
      .toMatchObject({
        phase: 'ended',
        why: 'the process that looks after it ended at once (exit code 1)',
        isCertain: true,
      });
    expect(await engine.logs(id, log)).toContain("Cannot find module '/none.mjs'");
  });

  it('leaves a job alone that another program submits at the same time, and forgets ended ones', async () => {
    const [begun, ended] = ['a'.repeat(16), 'b'.repeat(16)].map((id) => join(folder, 'jobs', id));
    mkdirSync(begun ?? '', { recursive: true, mode: 0o700 });
    mkdirSync(ended ?? '', { mode: 0o700 });
    const hours = Date.now() / 1000 - 2 * 3600;
    utimesSync(ended ?? '', hours, hours);
    await engine.cancel(await engine.submit(anyJob('true')));
    expect([begun, ended].map((each) => existsSync(each ?? ''))).toEqual([true, false]);
  });

  it('ends a job whose process it cannot note, and says why', async () => {
    const job = new LocalJob(join(folder, 'jobs', 'c'.repeat(16)));
    const description = anyJob('echo $$; exec sleep 60');
    job.write('job', description);
    // No file can take the place of this folder.
    mkdirSync(join(job.folder, 'process', 'full'), { recursive: true });
    const runner = fileURLToPath(packageProgram('pool/engines/local-runner.js'));
    expect(spawnSync(process.execPath, [runner, job.folder]).status).toBe(0);
    expect(job.read('ended')?.why).toMatch(/^its process cannot be noted \(EISDIR/);
    const pid = Number(readFileSync(description.log, 'utf8'));
    expect([job.read('starts'), isAlive(pid)]).toEqual([true, false]);
  });

  it('takes no job for ended for certain whose process nobody has noted', () => {
    const gone = { pid: process.pid, began: 'long ago' };
    const job = new LocalJob(join(folder, 'jobs', 'd'.repeat(16)));
    job.write('runner', gone);
    expect(job.status('here')).toMatchObject({ phase: 'ended', isCertain: true, bySite: true });
    job.write('starts', true);
    expect(job.status('here')).toEqual({
      phase: 'ended',
      why: 'the process that looks after it was killed while it started the job, which may still run',
      isCertain: false,
    });
    job.write('process', gone);
    expect(job.status('here')).toMatchObject({ phase: 'ended', isCertain: true, bySite: true });
  });

  it('says that a job is blocked whose watching process does nothing for half a minute', () => {
    const job = new LocalJob(join(folder, 'jobs', 'e'.repeat(16)));
    const longAgo = (name: string) => utimesSync(join(job.folder, name), 1, 1);
    job.write('job', anyJob('true'));
    job.write('runner', identityOf(process.pid) ?? { pid: 0, began: '' });
    const starting = { phase: 'starting', why: 'its process starts' };
    expect(job.status('here')).toEqual(starting);
    longAgo('job');
    const why = `the process that looks after it does nothing; end that process (${process.pid})`;
    const blocked = { phase: 'starting', why, isBlocked: true };
    expect(job.status('here')).toEqual(blocked);
    job.write('waits', true);
    expect(job.status('here')).toMatchObject({ phase: 'queued' });
    job.write('starts', true);
    expect(job.status('here')).toEqual(starting);
    longAgo('starts');
    expect(job.status('here')).toEqual(blocked);
  });

  it('ends a job whose watching process was killed, when it is cancelled', async () => {
    const one = anyJob('echo $$; exec sleep 60');
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
