import { describe, expect, it } from 'vitest';
import { excessOf, type MemoryHolder } from '#farlight/server/daemon/executors/memory-bounds.js';

const MIB = 2 ** 20;
const ROOM = Number.POSITIVE_INFINITY;

interface Named extends MemoryHolder {
  readonly name: string;
}

function holder(
  name: string,
  tenant: string | undefined,
  mib: number,
  state: 'used' | 'kept' | 'other' = 'used',
) {
  return { name, tenant, bytes: mib * MIB, isAtWork: state === 'used', isWaiting: state === 'kept' };
}

/** Who has to end, and whether that is said to somebody. */
function ended(holders: Named[], bounds: { each?: number; tenant?: number; all?: number }) {
  const excess = excessOf(holders, {
    each: (bounds.each ?? ROOM) * MIB,
    ofTenant: () => (bounds.tenant ?? ROOM) * MIB,
    all: (bounds.all ?? ROOM) * MIB,
  });
  return Object.fromEntries([...excess].map(([{ name }, what]) => [name, what]));
}

describe('memory of the machine', () => {
  it('within the bounds ends nobody', () => {
    const holders = [holder('a', 'alice', 500), holder('b', 'alice', 500), holder('c', 'bob', 1000)];
    expect(ended(holders, { each: 1000, tenant: 1000, all: 2000 })).toEqual({});
    expect(ended(holders, {})).toEqual({});
    expect(ended([], { each: 0, tenant: 0, all: 0 })).toEqual({});
  });

  it('of three sessions that each have less than they may, but more together, is freed by the largest', () => {
    const holders = [holder('a', 'alice', 400), holder('b', 'alice', 450), holder('c', 'alice', 400)];
    expect(ended(holders, { each: 500, tenant: 1000 })).toEqual({
      b: "was the largest of its tenant's, which had 1250 MiB of the host's memory together, of 1000 MiB that they may have",
    });
  });

  it('of one that has more than it may is enough: no other of its tenant ends for it', () => {
    const holders = [holder('a', 'alice', 900), holder('b', 'alice', 300)];
    expect(ended(holders, { each: 500, tenant: 1000, all: 1000 })).toEqual({
      a: "had 900 MiB of the host's memory, of 500 MiB that it may have",
    });
  });

  it('is freed by what nobody misses first, which is told to nobody', () => {
    const holders = [
      holder('a', 'alice', 900),
      holder('kept', 'alice', 100, 'kept'),
      holder('larger', 'alice', 200, 'kept'),
    ];
    expect(ended(holders, { tenant: 1000 })).toEqual({ larger: undefined });
    expect(ended(holders, { all: 1000 })).toEqual({ larger: undefined });
  });

  it('of all tenants is freed by the one that takes most, not by who has the largest process', () => {
    const holders = [
      holder('a', 'alice', 300),
      holder('b', 'alice', 350),
      holder('c', 'bob', 400),
      holder('spare', undefined, 800, 'other'),
    ];
    expect(ended(holders, { all: 1000 })).toEqual({
      b: "was the largest of the tenant that took most, when those of all tenants had 1850 MiB of the host's memory together, of 1000 MiB that they may have",
    });
  });

  it('is freed for a tenant beyond its bound by its own alone', () => {
    const holders = [
      holder('a', 'alice', 600),
      holder('b', 'bob', 700),
      holder('ends', 'alice', 600, 'other'),
    ];
    expect(Object.keys(ended(holders, { tenant: 1000 }))).toEqual(['a']);
  });
});
