// A job's record that was deleted, is broken, or was written on a full disk is told as such.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eachFile } from '#farlight/jobs/batch/each.js';
import { JobDriver } from '#farlight/jobs/run/drive.js';
import { deleteJob, lookAtJob, lookAtJobs } from '#farlight/jobs/run/jobs.js';
import { addTemplate, readTemplate } from '#farlight/jobs/templates/template-store.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { FarlightError } from '#farlight/proto/errors.js';
import { outputOf, runFarlight } from '../support/hosts/farlight-command.js';
import { JobSite, SCRIPT_TEMPLATE } from '../support/jobs/job-site.js';
import { CLI } from '../support/repository.js';

const MINUTES = 3 * 60_000;

let site: JobSite;
beforeAll(() => {
  site = new JobSite({ local: 'gpu: { adapter: "null" }' });
  addTemplate(readTemplate(site.file('script.yaml.template', SCRIPT_TEMPLATE)));
});
afterAll(() => site.close(), MINUTES);

describe('the record of a job', () => {
  it(
    'that is deleted while others wait for the job has it submitted by none of them again',
    async () => {
      const { record } = await site.run(site.script('gone', 'true'));
      const driver = new JobDriver(record);
      await deleteJob(record);
      await expect(lookAtJob(record)).rejects.toThrow('the job gone-1 was deleted');
      await expect(driver.pass()).rejects.toThrow('the job gone-1 was deleted');
      expect(existsSync(record.folder)).toBe(false);
      expect(await new LocalEngine(join(site.state, 'jobs')).list('farlight-job.gone-1.')).toEqual([]);
    },
    MINUTES,
  );

  it(
    'that is broken is told in the list of all jobs, and hides none of them',
    async () => {
      const { record } = await site.run(site.script('broken', 'true'));
      await site.run(site.script('whole', 'true'));
      writeFileSync(join(record.folder, 'job.json'), '{"request":');
      const reports = await lookAtJobs();
      expect(reports.find(({ id }) => id === 'whole-1')).toMatchObject({ phase: 'succeeded' });
      expect(reports.find(({ id }) => id === 'broken-1')?.problem).toContain(
        `the record of the job broken-1 in ${record.folder} is broken`,
      );
    },
    MINUTES,
  );
});

describe('on a full disk', () => {
  /** No file may have more than 1 KiB in a process of this shell. */
  const full = (...args: string[]) =>
    outputOf(spawn('bash', ['-c', 'ulimit -f 1; exec "$0" "$@"', process.execPath, ...args])).done;

  it('a file of a record is written whole or not at all', async () => {
    const folder = join(site.folder, 'full');
    const module = import.meta.resolve('#farlight/server/trust/private-folder.js');
    const program = `import { writeFirst } from '${module}'; writeFirst('${folder}', 'a', 'a'.repeat(3000));`;
    const { code, stderr } = await full('--input-type=module', '-e', program);
    expect([code, stderr]).toEqual([1, expect.stringContaining('EFBIG')]);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('a template is added whole or not at all', async () => {
    const text = `${SCRIPT_TEMPLATE.replace('name: script', 'name: long')}# ${'long '.repeat(400)}\n`;
    const file = site.file('long.yaml.template', text);
    const { code, stderr } = await full(CLI, 'template', 'add', file);
    expect([code, stderr]).toEqual([1, expect.stringMatching(/^farlight: \S+ cannot be written: EFBIG/)]);
    const listed = await runFarlight(['template', 'ls']);
    expect([listed.code, listed.stderr]).toEqual([0, '']);
    expect(listed.stdout).not.toContain('long@1');
  });
});

it('a boot file of a batch that cannot be loaded is a mistake of its program', async () => {
  const folder = join(site.folder, 'batch');
  mkdirSync(folder);
  const boot = site.file('bad.mjs', 'throw new Error("no model here");');
  const worker = { boot, dataset: folder, results: folder, index: 0, count: 1 };
  const error = await eachFile(worker).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(FarlightError);
  expect(error.message).toBe(`${boot} cannot be loaded: no model here`);
});
