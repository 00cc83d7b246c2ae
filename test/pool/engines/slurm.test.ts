import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SlurmEngine } from '#farlight/pool/engines/slurm/slurm.js';
import { anyJob, conformance, folder } from '../../support/engines/promises.js';
import { SlurmSite, whyNoRest, whyNoSlurm } from '../../support/engines/slurm-site.js';

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

describe.skipIf(whyNoSlurm !== undefined)(
  `the engine slurm${whyNoSlurm ? ` (${whyNoSlurm})` : ''}`,
  () => {
    const engine = new SlurmEngine();
    let site: SlurmSite;
    beforeAll(async () => {
      site = await SlurmSite.start({ staysUp: true });
    });
    afterAll(() => site?.close());
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
