import { describe, expect, it } from 'vitest';
import { type GpuLimits, GpuMemoryShares } from '#farlight/server/daemon/tenants/gpu-memory-shares.js';
import { seeded } from '../support/random/seeded.js';

const MIB = 2 ** 20;

/** Shares, with the last grant of each session, and the sessions that were asked to give back. */
function make(limits: Partial<GpuLimits>) {
  const grants = new Map<string, number>();
  const asked: string[] = [];
  const told: { limit: number; others: number }[] = [];
  const shares = new GpuMemoryShares<string>({
    limits: { all: Number.POSITIVE_INFINITY, of: () => Number.POSITIVE_INFINITY, ...limits },
    grant: (session, { bytes, limit, others }) => {
      grants.set(session, bytes);
      told.push({ limit, others });
    },
    reclaim: (session) => void asked.push(session),
  });
  /** Begins sessions of a tenant. */
  const open = (tenant: string, ...sessions: string[]) => {
    for (const session of sessions) grants.set(session, shares.open(session, tenant).bytes);
  };
  return { shares, grants, asked, told, open };
}

describe("a tenant's GPU memory", () => {
  const tenant = (limit: number, ...sessions: string[]) => {
    const made = make({ of: () => limit });
    made.open('t', ...sessions);
    return made;
  };

  it('may go to one session alone, all of it', () => {
    const { shares, grants, asked } = tenant(1000 * MIB, 'a');
    shares.want('a', 1000 * MIB);
    expect(grants.get('a')).toBe(1000 * MIB);
    expect(asked).toEqual([]);
  });

  it('is granted ahead, so that a small session never asks, and a growing one rarely', () => {
    const { shares, grants } = tenant(10_000 * MIB, 'a');
    expect(grants.get('a')).toBe(5000 * MIB);
    let asks = 0;
    for (let used = 1; used <= 10_000; used += 1) {
      if ((grants.get('a') ?? 0) >= used * MIB) continue;
      shares.want('a', used * MIB);
      asks += 1;
    }
    expect(asks).toBeLessThan(20);
  });

  it('is taken back from a session that does not use it before another is refused', () => {
    const { shares, grants, asked } = tenant(100 * MIB, 'a', 'b');
    expect([grants.get('a'), grants.get('b')]).toEqual([64 * MIB, 36 * MIB]);
    shares.want('b', 60 * MIB);
    expect(asked).toEqual(['a']);
    expect(grants.get('b')).toBe(36 * MIB);
    shares.kept('a', 30 * MIB);
    expect(grants.get('b')).toBe(70 * MIB);
    expect(shares.granted).toBe(100 * MIB);
  });

  it('is refused to others while it is used, and they learn the limit and the amount in use', () => {
    const { shares, grants, told } = tenant(100 * MIB, 'a', 'b');
    shares.want('a', 80 * MIB);
    shares.kept('b', 0);
    shares.want('b', 30 * MIB);
    shares.kept('a', 80 * MIB);
    expect(grants.get('b')).toBe(0);
    expect(told.at(-1)).toEqual({ limit: 100 * MIB, others: 80 * MIB });
  });

  it('is refused at once to a session that wants more than the limit', () => {
    const { shares, grants, asked } = tenant(100 * MIB, 'a', 'b');
    shares.want('b', 101 * MIB);
    expect(grants.get('b')).toBe(36 * MIB);
    expect(asked).toEqual([]);
  });

  it('the memory of an ended session is free for waiting sessions', () => {
    const { shares, grants } = tenant(100 * MIB, 'a', 'b');
    shares.want('b', 90 * MIB);
    shares.gone('a');
    expect(grants.get('b')).toBe(100 * MIB);
    shares.gone('b');
    expect(shares.granted).toBe(0);
  });

  it('is not granted to a session that has yet to say how much it keeps', () => {
    const { shares, grants } = tenant(100 * MIB, 'a', 'b');
    shares.want('b', 50 * MIB);
    const before = grants.get('a');
    shares.want('a', 20 * MIB);
    expect(grants.get('a')).toBe(before);
    shares.kept('a', 10 * MIB);
    expect(grants.get('b')).toBeGreaterThanOrEqual(50 * MIB);
    expect(grants.get('a')).toBeGreaterThanOrEqual(20 * MIB);
  });

  it('is asked back once for each request', () => {
    const { shares, asked } = tenant(100 * MIB, 'a', 'b');
    shares.want('b', 60 * MIB);
    shares.kept('a', 60 * MIB);
    shares.want('b', 60 * MIB);
    expect(asked).toEqual(['a', 'a']);
  });

  it('counts for the sessions that began without a limit from when there is one', () => {
    let limit = Number.POSITIVE_INFINITY;
    const { shares, grants, open } = make({ of: () => limit });
    open('t', 'a', 'b');
    expect([grants.get('a'), grants.get('b')]).toEqual([limit, limit]);
    shares.claims('a', 70 * MIB);
    limit = 100 * MIB;
    shares.look();
    expect([grants.get('a'), grants.get('b')]).toEqual([70 * MIB, 0]);
    shares.want('b', 30 * MIB);
    expect(grants.get('b')).toBe(30 * MIB);
  });
});

describe("a host's GPU memory", () => {
  it('is shared by its tenants, and one gets what another does not use', () => {
    const { shares, grants, asked, open } = make({ all: 200 * MIB });
    open('alice', 'a');
    open('bob', 'b');
    expect([grants.get('a'), grants.get('b')]).toEqual([100 * MIB, 64 * MIB]);
    shares.want('a', 120 * MIB);
    expect(grants.get('a')).toBe(136 * MIB);
    shares.want('b', 80 * MIB);
    expect(asked).toEqual(['a']);
    shares.kept('a', 120 * MIB);
    expect(grants.get('b')).toBe(80 * MIB);
  });

  it('is asked back from no other tenant where a tenant is at its own limit', () => {
    const { shares, grants, asked, open } = make({ all: 1000 * MIB, of: () => 100 * MIB });
    open('alice', 'a');
    open('bob', 'b', 'c');
    shares.want('b', 80 * MIB);
    expect(asked).toEqual(['c']);
    shares.kept('c', 36 * MIB);
    expect(grants.get('b')).toBe(64 * MIB);
  });

  it('shows a tenant the use of others only as far as it takes from what the tenant may have', () => {
    const { shares, open } = make({ all: 200 * MIB, of: (name) => (name === 'bob' ? 80 * MIB : 150 * MIB) });
    open('alice', 'a');
    open('bob', 'b', 'c');
    shares.claims('b', 30 * MIB);
    shares.claims('a', 100 * MIB);
    expect(shares.outlook('b')).toEqual({ limit: 80 * MIB, others: 0, reclaimable: 16 * MIB });
    expect(shares.outlook('c')).toEqual({ limit: 80 * MIB, others: 30 * MIB, reclaimable: 34 * MIB });
    shares.claims('a', 150 * MIB);
    expect(shares.outlook('c')).toEqual({ limit: 50 * MIB, others: 30 * MIB, reclaimable: 34 * MIB });
  });

  it('never exceeds its limits, and lets nobody wait for ever, in any order of events', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seeded(seed);
      const limits: GpuLimits = { all: 200 * MIB, of: () => 150 * MIB };
      // Each executor's own view, which gets messages later, in order.
      const sessions = ['a', 'b', 'c', 'd'].map((name) => ({
        name,
        tenant: name < 'c' ? 'alice' : 'bob',
        granted: 0,
        used: 0,
        reserved: 0,
        waits: false,
        inbox: [] as { type: 'grant' | 'reclaim'; bytes: number }[],
        outbox: [] as (() => void)[],
      }));
      type Executor = (typeof sessions)[number];
      const of = (name: string) => sessions.find((each) => each.name === name) as Executor;
      const shares = new GpuMemoryShares<string>({
        limits,
        grant: (name, { bytes }) => void of(name).inbox.push({ type: 'grant', bytes }),
        reclaim: (name) => void of(name).inbox.push({ type: 'reclaim', bytes: 0 }),
      });
      for (const session of sessions) session.granted = shares.open(session.name, session.tenant).bytes;
      const claimed = ({ used, reserved }: Executor) => used + reserved;
      const step = (session: Executor, wish: boolean) => {
        const message = session.inbox.shift();
        if (message?.type === 'grant') {
          session.granted = message.bytes;
          session.waits = false;
        } else if (message?.type === 'reclaim') {
          session.granted = claimed(session);
          const kept = claimed(session);
          session.outbox.push(() => shares.kept(session.name, kept));
        } else if (session.outbox.length > 0) {
          session.outbox.shift()?.();
        } else if (wish && !session.waits) {
          const kind = random();
          const bytes = Math.floor(random() * 80) * MIB;
          if (kind < 0.2) session.used = Math.floor(session.used * random());
          else if (kind < 0.3) session.reserved = 0;
          else if (kind < 0.4) session.outbox.push(() => shares.claims(session.name, claimed(session)));
          else if (claimed(session) + bytes > session.granted) {
            session.waits = true;
            const total = claimed(session) + bytes;
            session.outbox.push(() => shares.want(session.name, total));
          } else if (kind < 0.6) session.reserved += bytes;
          else session.used += bytes;
        }
        const sum = (of: readonly Executor[]) => of.reduce((bytes, each) => bytes + claimed(each), 0);
        if (sum(sessions) > limits.all) expect.fail(`seed ${seed}: more than the capacity`);
        for (const tenant of ['alice', 'bob']) {
          const own = sessions.filter((each) => each.tenant === tenant);
          if (sum(own) > limits.of(tenant)) expect.fail(`seed ${seed}: more than the limit of ${tenant}`);
        }
      };
      for (let turn = 0; turn < 300; turn += 1) step(sessions[Math.floor(random() * 4)] as Executor, true);
      for (let turn = 0; turn < 200; turn += 1) step(sessions[turn % 4] as Executor, false);
      expect(sessions.map(({ waits }) => waits)).toEqual([false, false, false, false]);
    }
  });
});
