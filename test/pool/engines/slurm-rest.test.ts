import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlurmEngine } from '#farlight/pool/engines/slurm/slurm.js';
import { anyJob, conformance, folder } from '../../support/engines/promises.js';
import { SlurmSite, whyNoRest } from '../../support/engines/slurm-site.js';

describe.skipIf(whyNoRest !== undefined)(
  `the engine slurm by slurmrestd${whyNoRest ? ` (${whyNoRest})` : ''}`,
  () => {
    let site: SlurmSite;
    let rest: Awaited<ReturnType<SlurmSite['rest']>>;
    let engine: SlurmEngine;
    let before: string | undefined;
    beforeAll(async () => {
      site = await SlurmSite.start({ staysUp: true });
      before = process.env.SLURM_CONF;
      rest = await site.rest();
      engine = new SlurmEngine({ rest: rest.socket, version: rest.version });
      // Slurm's commands find no site.
      delete process.env.SLURM_CONF;
    });
    afterAll(async () => {
      process.env.SLURM_CONF = before;
      await site?.close();
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
