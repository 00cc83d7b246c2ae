import { mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import type { Engine, JobDescription, JobStatus } from '#farlight/pool/engines/engine.js';

/** The folder of the jobs' logs. It goes with the test file. */
export const folder = mkdtempSync(join(tmpdir(), 'engines-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let jobs = 0;

/** A job that runs this in a shell, in a container where `changes` names an image. */
export function anyJob(script: string, changes: Partial<JobDescription> = {}): JobDescription {
  jobs += 1;
  return {
    // A conversation that was recorded has the same names.
    name: `conformance.${process.env.FARLIGHT_CONVERSATION ?? process.pid}.${jobs}`,
    term: jobs,
    command: ['/bin/sh', '-c', script],
    environment: { PATH: '/usr/bin:/bin', GREETING: "it's a $HOME" },
    log: join(folder, `job-${jobs}.log`),
    limits: {},
    ...changes,
  };
}

/** How the engine under test differs from the others. */
interface Differences {
  /** Changes to each job, such as its image. */
  readonly changes?: () => Partial<JobDescription>;
  /** Whether jobs write their logs to the files that their descriptions name. */
  readonly writesLogs?: boolean;
  /** Whether it keeps what a job printed that was cancelled. */
  readonly keepsLogs?: boolean;
  /** The addresses of its nodes. */
  readonly address?: RegExp;
  /** How often to look, in milliseconds. */
  readonly interval?: number;
  /** What a job does to wait until a file is there; a recorded conversation has its own. */
  readonly waitFor?: (file: string) => string;
}

/** The promises that every engine keeps. */
export function conformance(
  engine: () => Engine,
  {
    changes = () => ({}),
    writesLogs = true,
    keepsLogs = true,
    address: addresses = /^127\./,
    interval = 50,
    waitFor = (file) => `until [ -e ${file} ]; do sleep 0.05; done`,
  }: Differences = {},
): void {
  const job: typeof anyJob = (script, more = {}) => anyJob(script, { ...changes(), ...more });
  const phase = async (id: string) => (await engine().status(id)).phase;
  const ended = async (id: string) => {
    await expect.poll(() => phase(id), { timeout: 40_000, interval }).toBe('ended');
    return engine().status(id) as Promise<JobStatus & { phase: 'ended' }>;
  };
  const running = async (id: string) => {
    await expect.poll(() => phase(id), { timeout: 40_000, interval }).toBe('running');
    return engine().status(id) as Promise<JobStatus & { phase: 'running' }>;
  };
  const log = (id: string, { log: path }: JobDescription) => engine().logs(id, path);

  it('runs a command with its variables and no secret of this program, and keeps what it prints', async () => {
    process.env.FARLIGHT_SECRET = 'flt_secret';
    const one = job('echo "$GREETING"; env; echo to stderr >&2');
    const id = await engine().submit(one);
    delete process.env.FARLIGHT_SECRET;
    expect(await ended(id)).toMatchObject({ code: 0, isCertain: true });
    const printed = await log(id, one);
    expect(printed).toMatch(/^it's a \$HOME$/m);
    expect(printed).toMatch(/^to stderr$/m);
    expect(printed).not.toContain('flt_secret');
  });

  it('runs a command in the folder that is named', async () => {
    const one = job('pwd', { folder, mounts: [...(changes().mounts ?? []), folder] });
    const id = await engine().submit(one);
    await ended(id);
    expect((await log(id, one)).trim()).toBe(realpathSync(folder));
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
      expect.stringMatching(addresses),
      expect.stringMatching(/./),
    ]);
    await expect.poll(() => log(id, one), { interval }).toContain('runs');
    await engine().cancel(id);
    expect(await ended(id)).toMatchObject({ why: 'it was cancelled', isCertain: true });
    if (keepsLogs) await expect.poll(() => log(id, one)).toContain('asked to end');
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
    const go = `${lock}-go`;
    const script = `mkdir ${lock} || echo BOTH; ${waitFor(go)}; rmdir ${lock}; echo alone`;
    const mounts = [...(changes().mounts ?? []), folder];
    const one = job(script, { mounts });
    const two = job(script, { name: one.name, mounts });
    const first = await engine().submit(one);
    await running(first);
    const second = await engine().submit(two);
    await expect
      .poll(async () => engine().status(second), { interval })
      .toMatchObject({ phase: 'queued', why: expect.stringContaining('same name') });
    writeFileSync(go, '');
    for (const id of [first, second]) await ended(id);
    expect((await log(first, one)) + (await log(second, two))).toBe('alone\nalone\n');
  });

  it('never runs a job that is cancelled while it waits', async () => {
    const one = job('sleep 60');
    const two = job('echo ran', { name: one.name });
    const first = await engine().submit(one);
    await running(first);
    const second = await engine().submit(two);
    await engine().cancel(second);
    expect(await ended(second)).toMatchObject({ why: 'it was cancelled', isCertain: true });
    await engine().cancel(first);
    await ended(first);
    expect((await engine().status(second)).phase).toBe('ended');
    expect(await log(second, two)).toBe('');
  });

  it('forgets the jobs of a name that are over, and no other', async () => {
    const over = job('true');
    const lives = job('sleep 60', { name: `${over.name}.lives` });
    const [one, two] = [await engine().submit(over), await engine().submit(lives)];
    await ended(one);
    await running(two);
    await engine().clear(over.name);
    expect((await engine().status(two)).phase).toBe('running');
    await engine().cancel(two);
    await ended(two);
  });

  it('does not claim that a job which it does not know has ended for certain', async () => {
    expect(await engine().status('4242424242')).toMatchObject({ phase: 'ended', isCertain: false });
  });

  it('shows in its rendering the command and the log, and no variable of this program', () => {
    process.env.FARLIGHT_SECRET = 'flt_secret';
    const one = job('echo done');
    const text = engine().render(one);
    delete process.env.FARLIGHT_SECRET;
    for (const part of ['echo done', 'GREETING', ...(writesLogs ? [one.log] : [])])
      expect(text).toContain(part);
    expect(text).not.toContain('flt_secret');
  });
}
