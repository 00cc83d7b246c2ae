import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { noHost } from '#farlight/link/dial/socket-errors.js';
import { reasonOfPool } from '#farlight/pool/attach/lost-host.js';
import { PoolView } from '#farlight/pool/attach/pool-view.js';
import { seekHosts } from '#farlight/pool/attach/seek.js';
import { readPool } from '#farlight/pool/definition/pool-file.js';
import type { JobDescription, ListedJob } from '#farlight/pool/engines/engine.js';
import { LocalEngine } from '#farlight/pool/engines/local.js';
import { runOnCpuSide } from '#farlight/pool/environment/run.js';
import { Workspace } from '#farlight/pool/environment/workspace.js';
import { jobName } from '#farlight/pool/host/job.js';
import { Line } from '#farlight/pool/journal/line.js';
import { FarlightError } from '#farlight/proto/errors.js';

/** Notes which jobs it is told to cancel. */
class NotingEngine extends LocalEngine {
  readonly cancelled: string[] = [];
  override async cancel(id: string): Promise<void> {
    this.cancelled.push(id);
  }
  override cancelNow(id: string): void {
    this.cancelled.push(id);
  }
}

/** Takes each job, and the answer to that is lost. It does not answer then, as long as it is told. */
class LosingEngine extends NotingEngine {
  readonly taken: ListedJob[] = [];
  isSilent = true;
  override async submit({ name, term }: JobDescription): Promise<string> {
    this.taken.push({ id: `job-${term}`, name, term, status: { phase: 'queued', why: '' } });
    throw new FarlightError('UNREACHABLE', 'the engine is away');
  }
  override async list(prefix: string): Promise<ListedJob[]> {
    if (this.isSilent) throw new FarlightError('UNREACHABLE', 'the engine is still away');
    return this.taken.filter(({ name }) => name.startsWith(prefix));
  }
}

const before = process.env.XDG_STATE_HOME;
let state: string;
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'give-up-'));
  process.env.XDG_STATE_HOME = state;
});
afterEach(() => {
  if (before === undefined) delete process.env.XDG_STATE_HOME;
  else process.env.XDG_STATE_HOME = before;
  rmSync(state, { recursive: true, force: true });
});

describe('a job whose submission got no answer', () => {
  const TERMS = { lease: 0, margin: 0, submit: 0, start: 1000 };

  it('is cancelled by the program that submitted it, if the engine answers again', async () => {
    const engine = new LosingEngine(join(state, 'jobs'));
    engine.isSilent = false;
    const pool = { ...readPool('pool://local'), max: 10, engine };
    const view = new PoolView(pool);
    // The job of the tenth allocation has a longer name, with the same beginning.
    for (const slot of [1, 10]) {
      view.claim(slot, 1);
      await expect(view.look()).rejects.toThrow('the engine is away');
      expect(engine.cancelled.splice(0)).toEqual(['job-1']);
      engine.taken.splice(0, 1, { ...engine.taken[0], term: 2 } as ListedJob);
    }
    expect(view.journal.latest(1)).toMatchObject({ end: { why: 'the engine is away', failed: true } });
  });

  it('is cancelled by the next program that looks, before its term is over', async () => {
    const engine = new LosingEngine(join(state, 'jobs'));
    const pool = { ...readPool('pool://local'), engine, terms: TERMS };
    const one = new PoolView(pool);
    one.claim(1, 1);
    await expect(one.look()).rejects.toThrow('the engine is away');
    const other = new PoolView(pool);
    await other.look();
    expect([other.silence, other.allocation(1).phase]).toEqual(['the engine is still away', 'releasing']);
    engine.isSilent = false;
    await other.look();
    expect([engine.cancelled, other.allocation(1).phase]).toEqual([['job-1'], 'failed']);
  });
});

describe('a term that a portal has claimed before it was killed', () => {
  it('is over when the portal is started again, and its job is cancelled, unless that is known', async () => {
    const engine = new LosingEngine(join(state, 'jobs'));
    engine.isSilent = false;
    const pool = { ...readPool('pool://local'), max: 2, engine };
    const before = new PoolView(pool);
    const job = { name: jobName(pool.key, 1), term: 1 };
    engine.taken.push({ ...job, id: 'lost', status: { phase: 'queued', why: '' } });
    for (const slot of [1, 2]) before.claim(slot, 1);
    before.journal.write(2, 1, 'job', { id: 'known' });
    const after = new PoolView(pool);
    for (const slot of [1, 2]) await after.abandon({ slot, term: 1 });
    expect(engine.cancelled).toEqual(['lost']);
    expect(after.journal.latest(1)).toMatchObject({ end: { failed: false } });
    expect(after.journal.latest(2)).not.toHaveProperty('fence');
    expect(after.claim(1, 2)).toBe(true);
  });
});

describe('a program that was killed before it submitted the job of its claim', () => {
  /** A process that claims the first host of the pool, and is killed then. */
  const KILLED = `
    import { PoolView } from '#farlight/pool/attach/pool-view.js';
    import { readPool } from '#farlight/pool/definition/pool-file.js';
    new PoolView(readPool('pool://local')).claim(1, 1);
    process.kill(process.pid, 'SIGKILL');`;

  it('keeps no other program of its machine waiting, and its lost job is cancelled', async () => {
    const { signal } = spawnSync(process.execPath, ['--input-type=module', '-e', KILLED]);
    expect(signal).toBe('SIGKILL');
    const engine = new LosingEngine(join(state, 'jobs'));
    engine.isSilent = false;
    const pool = { ...readPool('pool://local'), engine };
    const job = { name: jobName(pool.key, 1), term: 1 };
    engine.taken.push({ ...job, id: 'lost', status: { phase: 'queued', why: '' } });
    const other = new PoolView(pool);
    await other.look();
    expect([other.allocation(1).phase, engine.cancelled]).toEqual(['failed', ['lost']]);
    expect(other.claim(1, 2)).toBe(true);
  });

  it('leaves the claim to its time where it may run on another machine', async () => {
    spawnSync(process.execPath, ['--input-type=module', '-e', KILLED]);
    const engine = Object.assign(new LosingEngine(join(state, 'jobs')), { isHere: false });
    const other = new PoolView({ ...readPool('pool://local'), engine });
    await other.look();
    expect(other.allocation(1).phase).toBe('queued');
  });
});

describe('a program that has claimed a host', () => {
  it('submits its job, although more programs wait in line since than the pool has hosts', async () => {
    const given = new AbortController();
    const engine = new LosingEngine(join(state, 'jobs'));
    engine.submit = async ({ name, term }) => {
      engine.taken.push({ id: name, name, term, status: { phase: 'queued', why: '' } });
      given.abort();
      return name;
    };
    const view = new PoolView({ ...readPool('pool://local'), engine });
    const claim = view.claim.bind(view);
    const want = { hosts: 1, isExclusive: false };
    view.claim = (slot, term) => {
      const isFirst = claim(slot, term);
      for (const _ of ['one', 'another']) new Line(view.journal.folder).take(want);
      return isFirst;
    };
    const signal = AbortSignal.any([given.signal, AbortSignal.timeout(2000)]);
    await expect(seekHosts(view, want, { signal })).rejects.toThrow('closed by the program');
    expect(engine.taken.map(({ term }) => term)).toEqual([1]);
  });
});

describe('an engine that refuses to say where a job is', () => {
  it('fails the request of a program, and a portal tells its tenants what it said', async () => {
    const engine = new NotingEngine(join(state, 'jobs'));
    engine.status = () => Promise.reject(new FarlightError('BAD_OPTION', 'the token has expired'));
    const view = new PoolView({ ...readPool('pool://local'), engine });
    view.claim(1, 1);
    view.journal.write(1, 1, 'job', { id: 'one' });
    await expect(view.look()).rejects.toThrow('the token has expired');
    expect(view.silence).toBe('the token has expired');
  });
});

describe('a pool’s host that is gone before a session begins', () => {
  it('is told to the program as such, and not how to start a host by hand', () => {
    const url = 'grpcs://10.0.0.7:41375';
    expect(reasonOfPool('lab', noHost({ url }, 'ECONNREFUSED'))?.message).toBe(
      `the host of the pool lab has gone: no farlight host at ${url} (ECONNREFUSED); ask for another adapter`,
    );
    const stopping = new FarlightError(
      'SHUTTING_DOWN',
      'the host at it is stopping; start the program again',
    );
    expect(reasonOfPool('lab', stopping)?.message).toBe(
      'the host of the pool lab has gone: the host at it is stopping; ask for another adapter',
    );
    const cut = 'the connection was closed before it was secure; see that a farlight host listens there';
    expect(reasonOfPool('lab', new FarlightError('UNREACHABLE', cut))?.message).toBe(
      'the host of the pool lab has gone: the connection was closed before it was secure; ask for another adapter',
    );
    const other = new FarlightError('UNAUTHORIZED', 'the token is not good');
    expect(reasonOfPool('lab', other)).toBe(other);
  });
});

describe('a command on the CPU side', () => {
  it('starts where the engine is silent for a while', async () => {
    const engine = new LocalEngine(join(state, 'jobs'));
    const answer = engine.status.bind(engine);
    let silences = 3;
    engine.status = async (id) => {
      silences -= 1;
      if (silences >= 0) throw new FarlightError('UNREACHABLE', 'the engine is away');
      return answer(id);
    };
    const { signal } = new AbortController();
    const states: string[] = [];
    const ways = { signal, onOutput: () => {}, onState: (state: string) => void states.push(state) };
    const workspace = new Workspace({ ...readPool('pool://local'), engine });
    expect(await runOnCpuSide(workspace, ['sh', '-c', 'exit 3'], ways)).toBe(3);
    expect(states[0]).toBe('the engine does not answer');
    // The engine keeps nothing of it.
    expect(readdirSync(join(state, 'jobs'))).toEqual([]);
  }, 30_000);
});

describe('a program that gives up', () => {
  it.each(['giveUp', 'giveUpNow'] as const)(
    'cancels its own job, and not the one of a later term (%s)',
    async (how) => {
      const engine = new NotingEngine(join(state, 'jobs'));
      const pool = { ...readPool('pool://local'), max: 2, engine };
      const one = new PoolView(pool);
      const other = new PoolView(pool);
      expect([one.claim(1, 1), one.claim(2, 1)]).toEqual([true, true]);
      one.journal.write(1, 1, 'job', { id: 'own' });
      one.journal.write(2, 1, 'job', { id: 'over' });
      // The host of the second one was killed, and another program has claimed the next term.
      expect(other.claim(2, 2)).toBe(true);
      other.journal.write(2, 2, 'job', { id: 'another' });
      await one[how]('it is tired');
      expect(engine.cancelled).toEqual(['own']);
    },
  );
});
