import { type AllocatedHosts, allocateHosts } from '../../client/index.js';
import { type Clock, PROCESS_CLOCK } from '../../link/machine/timer.js';
import { fixedMemory } from '../engine/host-memory.js';
import type { EngineHost } from '../engine/hosts.js';
import { RunError } from '../lanes/lane.js';
import { openShardLane, type TakenHosts } from '../lanes/shards/shard-lane.js';
import type { GpuHost } from './engine-hosts.js';
import { poolAndMost } from './pool-hosts.js';

export interface ShardHostsOptions {
  /** The server's own hosts. */
  readonly hosts: readonly Pick<GpuHost, 'name' | 'address' | 'memory'>[];
  /** The addresses of its pools, which give hosts where it has not enough of its own. */
  readonly pools: readonly string[];
  readonly clock?: Clock;
  readonly allocate?: (addresses: readonly string[], signal: AbortSignal) => Promise<AllocatedHosts>;
}

/** How long memory stays set aside for a model that has lost a host, in milliseconds: it is loaded again meanwhile. */
const ASIDE_MS = 60_000;

/**
 * Runs models that lie over several hosts, on one lane. `timeout` is how long a host may take for one stage of a run, in
 * milliseconds.
 */
export function shardHost(timeout: number, options: ShardHostsOptions): EngineHost {
  const hosts = new ShardHosts(options);
  return {
    name: 'several hosts',
    resource: 'shards',
    lanes: 1,
    memory: fixedMemory(0),
    openLane: (name) =>
      openShardLane({ name, timeout, take: (id, count, signal) => hosts.take(id, count, signal) }),
  };
}

/**
 * The hosts of models that lie over several. These models keep their memory on the hosts themselves, and the lanes there
 * have so much less.
 */
export class ShardHosts {
  readonly #options: ShardHostsOptions;
  readonly #clock: Clock;
  /** Of each model that has memory set aside, its hosts, and a function that ends that. */
  readonly #asides = new Map<string, { hosts: ShardHostsOptions['hosts']; end: () => void }>();

  constructor(options: ShardHostsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? PROCESS_CLOCK;
  }

  /** Hosts for a model. @throws RunError where there are not so many, and as `allocateHosts` (rejects) */
  async take(id: string, count: number, signal: AbortSignal): Promise<TakenHosts> {
    const { hosts, pools, allocate = allocateHosts } = this.#options;
    if (hosts.length >= count) return this.#share(id, this.#choose(id).slice(0, count));
    const [address] = pools;
    if (address === undefined)
      throw new RunError(
        `it lies over ${count} hosts, and the server has ${hosts.length}: name more with --host, or a pool`,
      );
    const { pool } = poolAndMost(address);
    const { addresses, release } = await allocate(
      [`${pool}${pool.includes('?') ? '&' : '?'}hosts=${count}`],
      signal,
    );
    return { addresses, loaded: () => {}, release: () => release() };
  }

  /**
   * Hosts that have a lane now come first. Of these, first the hosts that the model had before, which know its weights, and
   * then the ones with the most memory.
   */
  #choose(id: string): ShardHostsOptions['hosts'] {
    const before = this.#asides.get(id)?.hosts ?? [];
    const others = this.#options.hosts.filter((host) => !before.includes(host));
    others.sort((a, b) => b.memory.capacity.bytes - a.memory.capacity.bytes);
    return [...before, ...others].sort((a, b) => Number(b.memory.isOpen) - Number(a.memory.isOpen));
  }

  #share(id: string, hosts: ShardHostsOptions['hosts']): TakenHosts {
    return {
      addresses: hosts.map(({ address }) => address),
      loaded: (bytes) => {
        const needs = hosts.map((host, at) => ({ ...host, needed: bytes[at] ?? 0 }));
        for (const { name, memory, needed } of needs) {
          if (needed <= memory.capacity.limit) continue;
          throw new RunError(
            `its part takes ${needed} bytes of GPU memory on ${name}, and the server may use ${memory.capacity.limit} there`,
          );
        }
        this.#asides.get(id)?.end();
        const ends = needs.map(({ memory, needed }) => memory.setAside(needed));
        const end = () => {
          for (const one of ends) one();
          if (this.#asides.get(id)?.end === end) this.#asides.delete(id);
        };
        this.#asides.set(id, { hosts, end });
      },
      release: async (isLost) => {
        const aside = this.#asides.get(id);
        if (!aside) return;
        if (isLost) this.#clock.after(ASIDE_MS, aside.end);
        else aside.end();
      },
    };
  }
}
