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
  state: 'used' | 'warm' | 'other' = 'used',
) {
  return { name, tenant, bytes: mib * MIB, isAtWork: state === 'used', isWarm: state === 'warm' };
}

/** The processes that must end, each with its reason. */
function ended(holders: Named[], bounds: { each?: number; tenant?: number; all?: number }) {
  const excess = excessOf(holders, {
    each: (bounds.each ?? ROOM) * MIB,
    ofTenant: () => (bounds.tenant ?? ROOM) * MIB,
    all: (bounds.all ?? ROOM) * MIB,
  });
  return Object.fromEntries([...excess].map(([{ name }, what]) => [name, what]));
}

describe('the memory of executors', () => {
  it('ends no executor within the bounds', () => {
    const holders = [holder('a', 'alice', 500), holder('b', 'alice', 500), holder('c', 'bob', 1000)];
    expect(ended(holders, { each: 1000, tenant: 1000, all: 2000 })).toEqual({});
    expect(ended(holders, {})).toEqual({});
    expect(ended([], { each: 0, tenant: 0, all: 0 })).toEqual({});
  });

  it('ends the largest of three executors that exceed the limit of their tenant together', () => {
    const holders = [holder('a', 'alice', 400), holder('b', 'alice', 450), holder('c', 'alice', 400)];
    expect(ended(holders, { each: 500, tenant: 1000 })).toEqual({
      b: "was the largest of its tenant, whose executors had 1250 MiB of the host's memory together, more than the 1000 MiB that they may have",
    });
  });

  it('ends only the executor that exceeds its own limit, and no other of its tenant', () => {
    const holders = [holder('a', 'alice', 900), holder('b', 'alice', 300)];
    expect(ended(holders, { each: 500, tenant: 1000, all: 1000 })).toEqual({
      a: "had 900 MiB of the host's memory, more than the 500 MiB that it may have",
    });
  });

  it('ends warm executors first, without a reason', () => {
    const holders = [
      holder('a', 'alice', 900),
      holder('warm', 'alice', 100, 'warm'),
      holder('larger', 'alice', 200, 'warm'),
    ];
    expect(ended(holders, { tenant: 1000 })).toEqual({ larger: undefined });
    expect(ended(holders, { all: 1000 })).toEqual({ larger: undefined });
  });

  it('where all exceed the limit, ends one of the tenant that has the most, not the largest process', () => {
    const holders = [
      holder('a', 'alice', 300),
      holder('b', 'alice', 350),
      holder('c', 'bob', 400),
      holder('spare', undefined, 800, 'other'),
    ];
    expect(ended(holders, { all: 1000 })).toEqual({
      b: "was the largest of the tenant that had the most, when all executors had 1850 MiB of the host's memory together, more than the 1000 MiB that they may have",
    });
  });

  it('ends only executors of the tenant that exceeds its limit', () => {
    const holders = [
      holder('a', 'alice', 600),
      holder('b', 'bob', 700),
      holder('ends', 'alice', 600, 'other'),
    ];
    expect(Object.keys(ended(holders, { tenant: 1000 }))).toEqual(['a']);
  });
});
