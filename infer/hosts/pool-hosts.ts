import { type AllocatedHosts, allocateHosts } from '../../client/index.js';
import { type Clock, PROCESS_CLOCK } from '../../link/machine/timer.js';
import { FarlightError, messageOf } from '../../proto/errors.js';
import { redact } from '../../proto/token.js';
import type { EngineHost } from '../engine/hosts.js';
import type { ServiceState } from '../service/state.js';

/** The engine, as far as the hosts of a pool follow it. */
export interface FollowedEngine {
  state(): Pick<ServiceState, 'backlog' | 'requests' | 'lanes'>;
  addHost(host: EngineHost): void;
  /** Resolves when its lanes are closed. */
  removeHost(name: string): Promise<void>;
}

export interface PoolHostsOptions {
  /** `pool://NAME`, or that of a portal's pool; with `hosts=4` at most four hosts. */
  readonly address: string;
  /** Makes a host of the engine, at an address of the pool's. */
  open(url: string, name: string): Promise<EngineHost>;
  log(message: string): void;
  readonly clock?: Clock;
  readonly allocate?: (addresses: readonly string[], signal: AbortSignal) => Promise<AllocatedHosts>;
}

export interface Load {
  readonly hosts: number;
  /** Another host is being started. */
  readonly isComing: boolean;
  readonly most: number;
  /** About how many milliseconds of work wait. */
  readonly backlog: number;
  /** For how long each host has had no work, in milliseconds. */
  readonly idle: readonly number[];
  /** After how long without work a host is given back. */
  readonly idleMs: number;
}

/** Another host pays where this much work waits for each, in milliseconds: to start one takes seconds. */
const WORTH_MS = 2000;
const LOOK_MS = 500;
/** After a pool had no host to give, the next attempt waits so long, in milliseconds. */
const AGAIN_MS = 30_000;
/** A host without an open lane for so long is taken for lost, in milliseconds. */
const LOST_MS = 20_000;

/** Whether to take another host, or to give one back, by its index. One host stays, so that requests need not wait for one. */
export function due(load: Load): { do: 'add' } | { do: 'remove'; at: number } | undefined {
  const { hosts, isComing, most, backlog, idle, idleMs } = load;
  if (!isComing && hosts < most && (hosts === 0 || backlog > WORTH_MS * hosts)) return { do: 'add' };
  const at = idle.lastIndexOf(Math.max(0, ...idle));
  if (hosts > 1 && backlog === 0 && (idle[at] ?? 0) >= idleMs) return { do: 'remove', at };
  return undefined;
}

/** The pool of an address, and the most hosts that it may give. */
export function poolAndMost(address: string): { pool: string; most: number } {
  const [, pool = address, most] = /^(.*)[?&]hosts=(\d+)$/.exec(address) ?? [];
  return { pool, most: most === undefined ? Number.POSITIVE_INFINITY : Number(most) };
}

interface Held {
  readonly host: EngineHost;
  readonly url: string;
  release(): Promise<void>;
  /** Since when it has had no work, and since when it has had no open lane. */
  idleSince: number | undefined;
  closedSince: number | undefined;
}

/** The hosts of one pool that serve an engine: more as its queue grows, and fewer when they are idle. */
export class PoolHosts {
  readonly #options: PoolHostsOptions;
  readonly #clock: Clock;
  readonly #most: number;
  readonly #pool: string;
  /** The pool, for messages: without a token. */
  readonly #name: string;
  readonly #held: Held[] = [];
  readonly #end = new AbortController();
  #idleMs = 0;
  #count = 0;
  #coming: Promise<void> | undefined;
  /** The hosts that are being given back. */
  readonly #leaving = new Set<Promise<void>>();
  #notBefore = 0;
  /** Why the pool gave no host, when it was asked last. */
  #refused: string | undefined;

  constructor(options: PoolHostsOptions) {
    this.#options = options;
    this.#clock = options.clock ?? PROCESS_CLOCK;
    const { pool, most } = poolAndMost(options.address);
    this.#pool = pool;
    this.#name = redact(pool);
    this.#most = most;
  }

  /** Allocates the first host. @throws FarlightError (rejects) as `allocateHosts` and as opening it. */
  async first(): Promise<EngineHost> {
    return this.#allocate();
  }

  /** Follows an engine that has the first host. */
  follow(engine: FollowedEngine): void {
    if (this.#end.signal.aborted) return;
    this.#look(engine);
    this.#clock.after(LOOK_MS, () => this.follow(engine));
  }

  /** Gives all hosts back. Their lanes are closed. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#coming;
    await Promise.all([...this.#leaving, ...this.#held.splice(0).map(({ release }) => release())]);
  }

  #look(engine: FollowedEngine): void {
    const now = this.#clock.now();
    const { backlog, requests, lanes } = engine.state();
    for (const held of [...this.#held]) {
      const own = lanes.filter(({ host }) => host === held.host.name);
      const isIdle = own.every(({ state }) => state === 'idle');
      held.idleSince = isIdle ? (held.idleSince ?? now) : undefined;
      held.closedSince = own.every(({ state }) => state === 'closed') ? (held.closedSince ?? now) : undefined;
      if (held.closedSince !== undefined && now - held.closedSince >= LOST_MS)
        this.#giveBack(engine, held, 'was lost');
    }
    const choice = due({
      hosts: this.#held.length,
      isComing: this.#coming !== undefined || now < this.#notBefore,
      most: this.#most,
      // Requests that run are no reason for another host, and one to keep this one.
      backlog: requests > 0 ? Math.max(1, backlog) : 0,
      idle: this.#held.map(({ idleSince = now }) => now - idleSince),
      idleMs: this.#idleMs,
    });
    if (choice?.do === 'add') this.#coming = this.#add(engine).finally(() => (this.#coming = undefined));
    const unused = choice?.do === 'remove' ? this.#held[choice.at] : undefined;
    if (unused) this.#giveBack(engine, unused, 'is given back');
  }

  async #add(engine: FollowedEngine): Promise<void> {
    const { log } = this.#options;
    try {
      const host = await this.#allocate();
      this.#refused = undefined;
      engine.addHost(host);
      log(`The host ${host.name} has joined.`);
    } catch (error) {
      this.#notBefore = this.#clock.now() + AGAIN_MS;
      const why = messageOf(error);
      // Once: it may be so for long.
      if (!this.#end.signal.aborted && why !== this.#refused) log(`${this.#name} gave no other host: ${why}`);
      this.#refused = why;
    }
  }

  async #allocate(): Promise<EngineHost> {
    const { open, allocate = allocateHosts } = this.#options;
    const { addresses, release, idleMs = 0 } = await allocate([this.#pool], this.#end.signal);
    try {
      const [url = ''] = addresses;
      // A pool that has all of its hosts gives one a second time.
      if (this.#held.some((held) => held.url === url))
        throw new FarlightError('UNREACHABLE', 'it has no more hosts; raise its max');
      this.#count += 1;
      const host = await open(url, `${this.#name}#${this.#count}`);
      this.#end.signal.throwIfAborted();
      this.#idleMs = idleMs;
      this.#held.push({ host, url, release, idleSince: undefined, closedSince: undefined });
      return host;
    } catch (error) {
      await release();
      throw error;
    }
  }

  #giveBack(engine: FollowedEngine, held: Held, why: string): void {
    this.#held.splice(this.#held.indexOf(held), 1);
    this.#options.log(`The host ${held.host.name} ${why}.`);
    const leaving: Promise<void> = engine
      .removeHost(held.host.name)
      .finally(() => held.release())
      .catch((error) => this.#options.log(`${held.host.name} could not be given back: ${messageOf(error)}`))
      .finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
  }
}
