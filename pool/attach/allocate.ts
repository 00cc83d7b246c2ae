import { hostsAsked } from '../../link/address/pool-address.js';
import { FarlightError } from '../../proto/errors.js';

/** Hosts of one pool that a program has until it releases them. */
export interface Allocated {
  /** Their addresses, with their tokens. */
  readonly urls: readonly string[];
  /** After how long without use the pool wants them back, in milliseconds. */
  readonly idleMs: number;
  /** Resolves when the pool knows, or cannot be told. */
  release(): Promise<void>;
}

/** Hosts of several pools. */
export interface AllocatedOfEach extends Omit<Allocated, 'urls'> {
  /** For each address that was asked for, those of its hosts. */
  readonly addresses: string[][];
}

/**
 * Allocates hosts of several pools, all or none.
 *
 * @param addresses of pools, with how many hosts each: `pool://NAME?hosts=2`. A pool may stand there several times.
 * @param allocate gets all hosts of one pool, or none.
 * @throws as `allocate` (rejects), when all hosts of the other pools are given back.
 */
export async function allocateOfEach(
  addresses: readonly string[],
  allocate: (pool: string, hosts: number) => Promise<Allocated>,
): Promise<AllocatedOfEach> {
  const asked = addresses.map(hostsAsked);
  const found = new Map<string, Allocated>();
  const release = async () => {
    await Promise.all([...found.values()].map((allocated) => allocated.release()));
  };
  try {
    // One pool after the other, in one order in all programs, so that none waits for another one's hosts with its own.
    for (const named of [...new Set(asked.map(({ pool }) => pool))].sort()) {
      const hosts = asked.reduce((sum, { pool, hosts }) => sum + (pool === named ? hosts : 0), 0);
      found.set(named, await allocate(named, hosts));
    }
  } catch (error) {
    await release();
    throw error;
  }
  const left = new Map([...found].map(([pool, { urls }]) => [pool, [...urls]]));
  return {
    addresses: asked.map(({ pool, hosts }) => left.get(pool)?.splice(0, hosts) ?? []),
    idleMs: Math.min(...[...found.values()].map(({ idleMs }) => idleMs)),
    release,
  };
}

/** The pool of an address that stands for one session. @throws FarlightError BAD_OPTION where it names several hosts. */
export function oneHostOf(address: string): string {
  const { pool, hosts } = hostsAsked(address);
  if (hosts === 1) return pool;
  const why = `the address of the pool names ${hosts} hosts, and this program asks for one GPU; leave hosts=${hosts} out`;
  throw new FarlightError('BAD_OPTION', why);
}
