import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { packageProgram } from '#farlight/link/machine/package-files.js';
import { DockerEngine } from '#farlight/pool/engines/docker/docker.js';
import { checkImage, checkLimits } from '#farlight/pool/engines/engine.js';
import { KubernetesEngine } from '#farlight/pool/engines/kubernetes/kubernetes.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { LocalJob } from '#farlight/pool/engines/local-job.js';
import { identityOf } from '#farlight/pool/engines/process-identity.js';
import { SlurmEngine } from '#farlight/pool/engines/slurm/slurm.js';
import { DockerSite, whyNoDocker } from '../support/engines/docker-site.js';
import { anyJob, conformance, folder } from '../support/engines/promises.js';
import { SlurmSite, whyNoRest, whyNoSlurm } from '../support/engines/slurm-site.js';
import { isAlive } from '../support/machine/processes.js';

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the image of a job', () => {
  const digest = `sha256:${'5'.repeat(64)}`;

  it('is a digest where the engine fetches it, and a folder where it is unpacked', () => {
    const registry = { name: 'local', images: 'registry' } as const;
    for (const image of [`ghcr.io/a/b@${digest}`, `node:22@${digest}`, digest]) checkImage(registry, image);
    for (const image of ['node', 'node:22', '/bundles/node', `node@${digest}0`, `no de@${digest}`])
      expect(() => checkImage(registry, image)).toThrow(/needs an image by its digest/);
    expect(() => checkImage(registry, undefined)).toThrow(
      /runs containers only; name an image by its digest/,
    );
    const bundle = { name: 'slurm', images: 'bundle' } as const;
    checkImage(bundle, '/bundles/node');
    checkImage(bundle, undefined);
    expect(() => checkImage(bundle, digest)).toThrow(/slurm needs the path of an OCI bundle/);
  });
});

describe('the mounts of a job', () => {
  const job = anyJob('true', {
    image: `sha256:${'5'.repeat(64)}`,
    mounts: ['/data', '/shared', '/data'],
  });

  it('are there once each, and a claim takes the place of the node’s own folder', () => {
    const identity = { owner: 'ada', fresh: () => '1' };
    const { spec } = JSON.parse(new KubernetesEngine({ claims: { files: '/shared' } }, identity).render(job));
    expect(spec.volumes).toMatchObject([
      { hostPath: { path: '/data' } },
      { persistentVolumeClaim: { claimName: 'files' } },
    ]);
    expect(spec.containers[0].volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)).toEqual([
      '/data',
      '/shared',
    ]);
    expect(new DockerEngine().render(job).match(/"Source": "[^"]*"/g)).toEqual([
      '"Source": "/data"',
      '"Source": "/shared"',
    ]);
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

describe('Slurm’s commands', () => {
  const path = process.env.PATH;
  const bin = join(folder, 'bin');
  /** Has `sbatch` fail with these words. */
  const failing = (said: string) => {
    mkdirSync(bin, { recursive: true });
    const script = `#!/bin/sh\ncat > ${bin}/script\necho 'sbatch: error: ${said}' >&2\nexit 1\n`;
    writeFileSync(join(bin, 'sbatch'), script, { mode: 0o755 });
    process.env.PATH = `${bin}:${path}`;
  };
  afterEach(() => {
    process.env.PATH = path;
  });

  it.each([
    ['Batch job submission failed: Unable to contact slurm controller (connect failure)', 'UNREACHABLE'],
    ['Batch job submission failed: Socket timed out on send/recv operation', 'UNREACHABLE'],
    ['Batch job submission failed: Zero Bytes were transmitted or received', 'UNREACHABLE'],
    ['Batch job submission failed: Invalid partition name specified', 'BAD_OPTION'],
  ])(
    'a job without an answer may have been taken, and one with an answer was refused: %s',
    async (said, code) => {
      failing(said);
      await expect(new SlurmEngine().submit(anyJob('true'))).rejects.toMatchObject({ code });
    },
  );

  it('say what to do where they are not installed', async () => {
    process.env.PATH = bin;
    await expect(new SlurmEngine().list('')).rejects.toThrow(
      /^squeue is not installed here; run the program where Slurm's commands are, name the site's slurmrestd/,
    );
  });

  it('do not wait for a configuration that is not there', async () => {
    const before = process.env.SLURM_CONF;
    process.env.SLURM_CONF = join(folder, 'none');
    await expect(new SlurmEngine().list('')).rejects.toThrow(
      /has no configuration in .*none, where SLURM_CONF/,
    );
    if (before === undefined) delete process.env.SLURM_CONF;
    else process.env.SLURM_CONF = before;
  });
});

/** One for both ways to ask it. */
let started: Promise<SlurmSite> | undefined;
function slurmSite(): Promise<SlurmSite> {
  started ??= SlurmSite.start({ staysUp: true });
  return started;
}
afterAll(async () => (await started)?.close());

describe.skipIf(whyNoSlurm !== undefined)(
  `the engine slurm${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`,
  () => {
    const engine = new SlurmEngine();
    let site: SlurmSite;
    beforeAll(async () => {
      site = await slurmSite();
    });
    conformance(() => engine);

    it.skipIf(whyNoRest !== undefined)(
      `does not show a job the token that its commands have${whyNoRest ? ` (${whyNoRest})` : ''}`,
      async () => {
        process.env.SLURM_JWT = site.token().replace('SLURM_JWT=', '');
        try {
          const one = anyJob('env; tr "\\0" "\\n" < /proc/$$/environ');
          const id = await engine.submit(one);
          await expect.poll(async () => (await engine.status(id)).phase, { timeout: 40_000 }).toBe('ended');
          const printed = await engine.logs(id, one.log);
          expect(printed).toContain('SLURM_JOB_ID=');
          expect(printed).not.toContain('SLURM_JWT');
        } finally {
          delete process.env.SLURM_JWT;
        }
      },
    );

    it('says why Slurm refuses a job', async () => {
      await expect(engine.submit(anyJob('true', { limits: { partition: 'none' } }))).rejects.toThrow(
        /Slurm refuses the job: .*partition/i,
      );
    });

    it('says why a job waits', async () => {
      const gpus = { gpus: '1' };
      const ids: string[] = [];
      for (let count = 0; count < 3; count += 1)
        ids.push(await engine.submit(anyJob('sleep 60', { limits: gpus })));
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

describe.skipIf(whyNoRest !== undefined)(
  `the engine slurm by slurmrestd${whyNoRest ? ` (${whyNoRest})` : ''}`,
  () => {
    let site: SlurmSite;
    let rest: Awaited<ReturnType<SlurmSite['rest']>>;
    let engine: SlurmEngine;
    let before: string | undefined;
    beforeAll(async () => {
      site = await slurmSite();
      before = process.env.SLURM_CONF;
      rest = await site.rest();
      engine = new SlurmEngine({ rest: rest.socket, version: rest.version });
      // Slurm's commands find no site.
      delete process.env.SLURM_CONF;
    });
    afterAll(() => {
      process.env.SLURM_CONF = before;
    });
    conformance(() => engine);

    it('says why Slurm refuses a job, and why a job waits', async () => {
      await expect(engine.submit(anyJob('true', { limits: { partition: 'none' } }))).rejects.toThrow(
        /Slurm refuses the job: .*partition/i,
      );
      const limits = { gpus: '1', minutes: 5, cpus: 2, memory: 100 };
      const ids: string[] = [];
      for (let count = 0; count < 3; count += 1)
        ids.push(await engine.submit(anyJob('sleep 60', { limits })));
      const whys = async () => {
        const all = await Promise.all(ids.map((id) => engine.status(id)));
        return all.map((status) => (status.phase === 'queued' ? status.why : status.phase));
      };
      await expect.poll(whys).toContain('no node is free (Resources)');
      expect(site.describe()).toMatch(/Requeue=0 .*TimeLimit=00:05:00.*MinMemoryNode=100M/s);
      for (const id of ids) await engine.cancel(id);
    });

    it('shows a token of a file or of SLURM_JWT at a port, and says what to do without a good one', async () => {
      const { version } = rest;
      const file = join(folder, 'slurm-token');
      writeFileSync(file, `${site.token()}\n`);
      const byFile = new SlurmEngine({ rest: rest.port, version, tokenFile: file });
      const one = anyJob('env');
      const id = await byFile.submit(one);
      await expect.poll(async () => (await byFile.status(id)).phase, { timeout: 40_000 }).toBe('ended');
      expect(await byFile.logs(id, one.log)).not.toContain('SLURM_JWT');
      expect(await byFile.list('farlight.')).toEqual([]);
      const without = new SlurmEngine({ rest: rest.port, version });
      await expect(without.list('')).rejects.toThrow(/wants a token; set SLURM_JWT \(scontrol token/);
      // The next request has it.
      writeFileSync(file, 'SLURM_JWT=bad');
      await expect(byFile.list('')).rejects.toThrow(/Slurm does not answer: .*token is still good/);
      const other = new SlurmEngine({ rest: rest.socket, version: 'v0.0.39' });
      await expect(other.list('')).rejects.toThrow(/has no v0\.0\.39; see which it has/);
      expect(() => new SlurmEngine({ rest: 'http://10.0.0.1:6820', version })).toThrow(/is plaintext/);
    });

    it('has an answer after its controller was started again', async () => {
      const id = await engine.submit(anyJob('sleep 60'));
      await site.restart();
      await expect.poll(async () => (await engine.status(id)).phase, { timeout: 40_000 }).toBe('running');
      await engine.cancel(id);
    });
  },
  120_000,
);

describe.skipIf(whyNoDocker !== undefined)(
  `the engine docker${whyNoDocker ? ` (${whyNoDocker})` : ''}`,
  () => {
    let site: DockerSite;
    let engine: DockerEngine;
    beforeAll(async () => {
      site = await DockerSite.start();
      engine = new DockerEngine({ socket: site.socket, network: 'host' });
    });
    afterAll(() => site?.close());
    const changes = () => ({ image: site.image, mounts: site.mounts });
    conformance(() => engine, { changes, writesLogs: false });
    const job: typeof anyJob = (script, more = {}) => anyJob(script, { ...changes(), ...more });
    const ended = async (id: string) => {
      await expect.poll(async () => (await engine.status(id)).phase).toBe('ended');
      return engine.status(id);
    };

    it('gives a container the memory and the processors of its limits, and no more', async () => {
      const one = job('cat /proc/self/cgroup; exec sleep 60', { limits: { cpus: 1, memory: 64 } });
      const id = await engine.submit(one);
      const [limits] = JSON.parse(site.docker('inspect', id));
      expect(limits.HostConfig).toMatchObject({ NanoCpus: 1e9, Memory: 64 << 20, MemorySwap: 64 << 20 });
      await engine.cancel(id);
      const greedy = await engine.submit(job('tail /dev/zero', { limits: { memory: 16 } }));
      expect(await ended(greedy)).toMatchObject({
        why: expect.stringMatching(/it needed more memory than its limit$/),
        isCertain: true,
      });
    });

    it('says that a machine has no GPUs to give', async () => {
      const id = await engine.submit(job('true', { limits: { gpus: '1' } }));
      expect(await ended(id)).toMatchObject({
        why: expect.stringMatching(/Docker cannot start it: .*device driver/),
        isCertain: true,
      });
    });

    it('says which image is missing, and why it cannot be fetched', async () => {
      const digest = `sha256:${'7'.repeat(64)}`;
      await expect(engine.submit(job('true', { image: digest }))).rejects.toThrow(
        /Docker has no image sha256:7/,
      );
      await expect(engine.submit(job('true', { image: `127.0.0.1:1/none@${digest}` }))).rejects.toThrow(
        /Docker cannot fetch the image 127.0.0.1:1\/none@sha256:7+: .*refused/,
      );
      await expect(engine.submit(job('true', { image: undefined as never }))).rejects.toThrow(
        /docker runs containers only/,
      );
    });

    it('goes on with its jobs known when the daemon was started again', async () => {
      const id = await engine.submit(job('sleep 60'));
      await expect.poll(async () => (await engine.status(id)).phase).toBe('running');
      await site.restart();
      expect(await ended(id)).toMatchObject({ isCertain: true });
      const another = await engine.submit(job('echo again'));
      expect(await ended(another)).toMatchObject({ code: 0 });
    });

    it('makes one container of a job where the answers to its creation and its start are lost', async () => {
      const lost = ['/containers/create', '/start'];
      const socket = join(folder, 'losing');
      const line = createServer((here) => {
        const there = connect(site.socket);
        here.on('error', () => {}).pipe(there);
        here.once('data', (request) => {
          const at = lost.findIndex((path) => request.toString().split(' ')[1]?.includes(path));
          // Docker has done it when it answers.
          if (at < 0) there.pipe(here);
          else {
            lost.splice(at, 1);
            there.once('data', () => here.destroy());
          }
        });
        there.on('error', () => here.destroy());
      }).listen(socket);
      await once(line, 'listening');
      const one = job('echo once');
      const id = await new DockerEngine({ socket, network: 'host' }).submit(one);
      line.close();
      expect(lost).toEqual([]);
      expect(await ended(id)).toMatchObject({ code: 0 });
      const all = site.docker(
        'ps',
        '--all',
        '--no-trunc',
        '--quiet',
        '--filter',
        `label=farlight.job=${one.name}`,
      );
      expect(all.trim()).toBe(id);
    });

    it('says that there is no Docker, and where it looked', async () => {
      const none = new DockerEngine({ socket: join(folder, 'none') });
      await expect(none.list('')).rejects.toThrow(/Docker does not run here: there is no .*none; start it/);
      expect(() => new DockerEngine({ socket: 'tcp://127.0.0.1:2375' })).toThrow(/ssh -L/);
    });
  },
  120_000,
);
