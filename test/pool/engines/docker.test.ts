import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DockerEngine } from '#farlight/pool/engines/docker/docker.js';
import { DockerSite, whyNoDocker } from '../../support/engines/docker-site.js';
import { anyJob, conformance, folder } from '../../support/engines/promises.js';

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
