import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { JobRecord } from '#farlight/jobs/record/record.js';
import {
  awaitJob,
  cancelJob,
  isOver,
  type JobReport,
  lookAtJobs,
  submitJob,
} from '#farlight/jobs/run/jobs.js';
import { planFile } from '#farlight/jobs/run/plan.js';
import { endAll } from '#farlight/pool/teardown/teardown.js';

const VARIABLES = ['XDG_CONFIG_HOME', 'XDG_STATE_HOME'] as const;

/** Folders of a test's own for jobs, templates and pools. This process and its jobs find them by their variables. */
export class JobSite {
  readonly folder = mkdtempSync(join(tmpdir(), 'jobs-'));
  readonly #before = VARIABLES.map((name) => [name, process.env[name]] as const);

  /** @param pools the texts of pool files, by name. */
  constructor(pools: Readonly<Record<string, string>>) {
    for (const name of VARIABLES) process.env[name] = join(this.folder, name);
    for (const [name, text] of Object.entries(pools)) this.pool(name, text);
  }

  pool(name: string, text: string): void {
    const folder = join(this.folder, 'XDG_CONFIG_HOME', 'farlight', 'pools');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.yaml`), text);
  }

  /** The state folder of Farlight. */
  get state(): string {
    return join(this.folder, 'XDG_STATE_HOME', 'farlight');
  }

  /** Writes a file, and gives its path. */
  file(name: string, text: string): string {
    const path = join(this.folder, name);
    writeFileSync(path, text);
    return path;
  }

  /** A request for the job of a shell script, with a template that runs it. */
  script(name: string, script: string, more = ''): string {
    this.file(`${name}.sh`, script);
    return this.file(`${name}.yaml`, `kind: script\nboot: ${name}.sh\n${more}`);
  }

  submit(request: string): Promise<JobRecord> {
    return submitJob(planFile(request));
  }

  async run(request: string): Promise<{ record: JobRecord; report: JobReport; log: string }> {
    const record = await this.submit(request);
    const report = await awaitJob(record, () => {});
    return { record, report, log: this.log(record) };
  }

  /** The output of a job's tasks, all attempts together. */
  log({ folder }: JobRecord): string {
    const logs = readdirSync(folder).filter((name) => name.endsWith('.log') && !name.startsWith('watcher'));
    return logs.map((name) => readFileSync(join(folder, name), 'utf8')).join('');
  }

  /** A file of a job of the engine `local`, such as its process. */
  engineFile(id: string, name: string): unknown {
    return JSON.parse(readFileSync(join(this.state, 'jobs', id, name), 'utf8'));
  }

  async close(): Promise<void> {
    for (const { id, phase } of await lookAtJobs()) if (!isOver(phase)) await cancelJob(JobRecord.find(id));
    await endAll();
    for (const [name, value] of this.#before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    // A process that looks after a job may still write its end.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20 });
  }
}

/** Runs the boot file with a shell. The site may fail twice. */
export const SCRIPT_TEMPLATE = `name: script
version: 1
about: Runs a shell script.
for: { kind: [script] }
tasks:
  main:
    gpu: none
    count: { default: 1, most: 3 }
    command: [/bin/sh, "\${boot}", "\${results}"]
retries: { most: 2, seconds: 0.2 }
`;
