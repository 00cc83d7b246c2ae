import { describe, expect, it } from 'vitest';
import { MemoryLedger } from '#farlight/server/daemon/tenants/gpu-memory-shares.js';
import { seeded } from '../support/seeded.js';

const MIB = 2 ** 20;

/** A ledger, what it has granted to each session, and whom it has asked to spare. */
function make(limit: number) {
  const grants = new Map<string, number>();
  const asked: string[] = [];
  const told: { limit: number; others: number }[] = [];
  const ledger = new MemoryLedger<string>({
    limit: () => limit,
    grant: (session, bytes, most, others) => {
      grants.set(session, bytes);
      told.push({ limit: most, others });
    },
    spare: (session) => void asked.push(session),
  });
  return { ledger, grants, asked, told };
}

describe("a tenant's GPU memory", () => {
  it('may be had by one session alone, all of it', () => {
    const { ledger, grants, asked } = make(1000 * MIB);
    ledger.want('a', 1000 * MIB);
    expect(grants.get('a')).toBe(1000 * MIB);
    expect(asked).toEqual([]);
  });

  it('is granted ahead, so that a session that grows need not ask each time', () => {
    const { ledger, grants } = make(10_000 * MIB);
    let asks = 0;
    for (let used = 1; used <= 5000; used += 1) {
      if ((grants.get('a') ?? 0) >= used * MIB) continue;
      ledger.want('a', used * MIB);
      asks += 1;
    }
    expect(asks).toBeLessThan(20);
  });

  it('that another session does not use is given back before somebody is refused', () => {
    const { ledger, grants, asked } = make(100 * MIB);
    ledger.want('a', 30 * MIB);
    expect(grants.get('a')).toBe(94 * MIB);
    ledger.want('b', 60 * MIB);
    expect(asked).toEqual(['a']);
    expect(grants.has('b')).toBe(false);
    ledger.kept('a', 30 * MIB);
    expect(grants.get('b')).toBe(70 * MIB);
    expect(ledger.granted).toBe(100 * MIB);
  });

  it('that is used is refused to others, which hear what the limit is and what is in use', () => {
    const { ledger, grants, told } = make(100 * MIB);
    ledger.want('a', 80 * MIB);
    ledger.want('b', 30 * MIB);
    ledger.kept('a', 80 * MIB);
    expect(grants.get('b')).toBe(0);
    expect(told.at(-1)).toEqual({ limit: 100 * MIB, others: 80 * MIB });
  });

  it('of a session that is gone is free for those that wait', () => {
    const { ledger, grants } = make(100 * MIB);
    ledger.want('a', 80 * MIB);
    ledger.want('b', 90 * MIB);
    ledger.gone('a');
    expect(grants.get('b')).toBe(100 * MIB);
    ledger.gone('b');
    expect([ledger.granted, ledger.empty]).toEqual([0, true]);
  });

  it('is not granted to a session that has yet to say what it keeps', () => {
    const { ledger, grants } = make(100 * MIB);
    ledger.want('a', 10 * MIB);
    ledger.want('b', 60 * MIB);
    const before = grants.get('a');
    ledger.want('a', 20 * MIB);
    expect(grants.get('a')).toBe(before);
    ledger.kept('a', 10 * MIB);
    expect(grants.get('b')).toBeGreaterThanOrEqual(60 * MIB);
    expect(grants.get('a')).toBeGreaterThanOrEqual(20 * MIB);
  });

  it('asks nobody twice for the same request, and everybody again for the next', () => {
    const { ledger, asked } = make(100 * MIB);
    ledger.want('a', 60 * MIB);
    ledger.want('b', 60 * MIB);
    ledger.kept('a', 60 * MIB);
    ledger.want('b', 60 * MIB);
    expect(asked).toEqual(['a', 'a']);
  });

  it('is never exceeded, and nobody waits for ever, whatever the sessions do in whatever order', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const random = seeded(seed);
      const limit = 200 * MIB;
      // What each executor believes, which hears of things later, in order.
      const sessions = ['a', 'b', 'c', 'd'].map((name) => ({
        name,
        granted: 0,
        used: 0,
        waits: false,
        inbox: [] as { type: 'grant' | 'spare'; bytes: number }[],
        outbox: [] as (() => void)[],
      }));
      const of = (name: string) => sessions.find((each) => each.name === name) as (typeof sessions)[number];
      const ledger = new MemoryLedger<string>({
        limit: () => limit,
        grant: (name, bytes) => void of(name).inbox.push({ type: 'grant', bytes }),
        spare: (name) => void of(name).inbox.push({ type: 'spare', bytes: 0 }),
      });
      const step = (session: (typeof sessions)[number], wish: boolean) => {
        const message = session.inbox.shift();
        if (message?.type === 'grant') {
          session.granted = message.bytes;
          session.waits = false;
        } else if (message?.type === 'spare') {
          session.granted = session.used;
          const { used } = session;
          session.outbox.push(() => ledger.kept(session.name, used));
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
            session.outbox.push(() => ledger.want(session.name, total));
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
