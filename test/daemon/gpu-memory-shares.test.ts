import { describe, expect, it } from 'vitest';
import { GpuMemoryShares } from '#farlight/server/daemon/tenants/gpu-memory-shares.js';
import { seeded } from '../support/random/seeded.js';

const MIB = 2 ** 20;

/** Shares, with the last grant of each session, and the sessions that were asked to give back. */
function make(limit: number) {
  const grants = new Map<string, number>();
  const asked: string[] = [];
  const told: { limit: number; others: number }[] = [];
  const shares = new GpuMemoryShares<string>({
    limit: () => limit,
    grant: (session, bytes, most, others) => {
      grants.set(session, bytes);
      told.push({ limit: most, others });
    },
    reclaim: (session) => void asked.push(session),
  });
  return { shares, grants, asked, told };
}

describe("a tenant's GPU memory", () => {
  it('may go to one session alone, all of it', () => {
    const { shares, grants, asked } = make(1000 * MIB);
    shares.want('a', 1000 * MIB);
    expect(grants.get('a')).toBe(1000 * MIB);
    expect(asked).toEqual([]);
  });

  it('is granted ahead, so that a growing session asks rarely', () => {
    const { shares, grants } = make(10_000 * MIB);
    let asks = 0;
    for (let used = 1; used <= 5000; used += 1) {
      if ((grants.get('a') ?? 0) >= used * MIB) continue;
      shares.want('a', used * MIB);
      asks += 1;
    }
    expect(asks).toBeLessThan(20);
  });

  it('is taken back from a session that does not use it before another is refused', () => {
    const { shares, grants, asked } = make(100 * MIB);
    shares.want('a', 30 * MIB);
    expect(grants.get('a')).toBe(94 * MIB);
    shares.want('b', 60 * MIB);
    expect(asked).toEqual(['a']);
    expect(grants.has('b')).toBe(false);
    shares.kept('a', 30 * MIB);
    expect(grants.get('b')).toBe(70 * MIB);
    expect(shares.granted).toBe(100 * MIB);
  });

  it('is refused to others while it is used, and they learn the limit and the amount in use', () => {
    const { shares, grants, told } = make(100 * MIB);
    shares.want('a', 80 * MIB);
    shares.want('b', 30 * MIB);
    shares.kept('a', 80 * MIB);
    expect(grants.get('b')).toBe(0);
    expect(told.at(-1)).toEqual({ limit: 100 * MIB, others: 80 * MIB });
  });

  it('of an ended session is free for waiting sessions', () => {
    const { shares, grants } = make(100 * MIB);
    shares.want('a', 80 * MIB);
    shares.want('b', 90 * MIB);
    shares.gone('a');
    expect(grants.get('b')).toBe(100 * MIB);
    shares.gone('b');
    expect([shares.granted, shares.empty]).toEqual([0, true]);
  });

  it('is not granted to a session that has yet to say how much it keeps', () => {
    const { shares, grants } = make(100 * MIB);
    shares.want('a', 10 * MIB);
    shares.want('b', 60 * MIB);
    const before = grants.get('a');
    shares.want('a', 20 * MIB);
    expect(grants.get('a')).toBe(before);
    shares.kept('a', 10 * MIB);
    expect(grants.get('b')).toBeGreaterThanOrEqual(60 * MIB);
    expect(grants.get('a')).toBeGreaterThanOrEqual(20 * MIB);
  });

  it('is asked back once for each request', () => {
    const { shares, asked } = make(100 * MIB);
    shares.want('a', 60 * MIB);
    shares.want('b', 60 * MIB);
    shares.kept('a', 60 * MIB);
    shares.want('b', 60 * MIB);
    expect(asked).toEqual(['a', 'a']);
  });

  it('never exceeds its limit, and lets nobody wait for ever, in any order of events', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seeded(seed);
      const limit = 200 * MIB;
      // Each executor's own view, which gets messages later, in order.
      const sessions = ['a', 'b', 'c', 'd'].map((name) => ({
        name,
        granted: 0,
        used: 0,
        waits: false,
        inbox: [] as { type: 'grant' | 'reclaim'; bytes: number }[],
        outbox: [] as (() => void)[],
      }));
      const of = (name: string) => sessions.find((each) => each.name === name) as (typeof sessions)[number];
      const shares = new GpuMemoryShares<string>({
        limit: () => limit,
        grant: (name, bytes) => void of(name).inbox.push({ type: 'grant', bytes }),
        reclaim: (name) => void of(name).inbox.push({ type: 'reclaim', bytes: 0 }),
      });
      const step = (session: (typeof sessions)[number], wish: boolean) => {
        const message = session.inbox.shift();
        if (message?.type === 'grant') {
          session.granted = message.bytes;
          session.waits = false;
        } else if (message?.type === 'reclaim') {
          session.granted = session.used;
          const { used } = session;
          session.outbox.push(() => shares.kept(session.name, used));
        } else if (session.outbox.length > 0) {
          session.outbox.shift()?.();
        } else if (wish && !session.waits) {
          const kind = random();
          const bytes = Math.floor(random() * 80) * MIB;
          if (kind < 0.3) session.used = Math.floor(session.used * random());
          else if (session.used + bytes <= session.granted) session.used += bytes;
          else {
            session.waits = true;
            const total = session.used + bytes;
            session.outbox.push(() => shares.want(session.name, total));
          }
        }
        expect(sessions.reduce((sum, { used }) => sum + used, 0)).toBeLessThanOrEqual(limit);
      };
      for (let turn = 0; turn < 300; turn += 1) step(sessions[Math.floor(random() * 4)] as never, true);
      for (let turn = 0; turn < 200; turn += 1) step(sessions[turn % 4] as never, false);
      expect(sessions.map(({ waits }) => waits)).toEqual([false, false, false, false]);
    }
  });
});
