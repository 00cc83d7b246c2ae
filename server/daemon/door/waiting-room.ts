import { isLoopback } from '../../../link/address/loopback.js';
import { networkOf } from './ip-address.js';

export interface WaitingRoomOptions {
  /** How many may wait from other machines, and how many from this one. */
  most: number;
  /** How many of one network of other machines. */
  mostOfNetwork: number;
}

/**
 * Connections of which nobody knows yet whose they are, and which of them gives way where there are too many.
 *
 * From other machines it is the newest of the network that has the most here, which may be the newcomer itself: who
 * floods a host keeps out nobody else. Where several have as many, the one that has been here longest gives way.
 *
 * This machine has room of its own, and what comes from here is not told apart: it may be a proxy, and so anybody. The
 * one that has waited longest gives way there, since who has something to say from so near says it at once.
 */
export class WaitingRoom<Guest> {
  readonly #options: WaitingRoomOptions;
  /** The oldest first. */
  readonly #near = new Set<Guest>();
  /** By network, the one that has been here longest first; of each the oldest first. */
  readonly #networks = new Map<string, Set<Guest>>();
  readonly #far = new Map<Guest, string>();

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /**
   * Takes a connection in.
   *
   * @param remote the socket's remote address; undefined on a unix socket.
   * @returns who has to go for it, and waits no more; undefined where there is room.
   */
  enter(guest: Guest, remote: string | undefined): Guest | undefined {
    const leaver = isNear(remote) ? this.#enterNear(guest) : this.#enterFar(guest, networkOf(remote));
    if (leaver !== undefined) this.leave(leaver);
    return leaver;
  }

  /** It waits no more: it is known, or gone. */
  leave(guest: Guest): void {
    this.#near.delete(guest);
    const network = this.#far.get(guest);
    if (network === undefined) return;
    this.#far.delete(guest);
    const others = this.#networks.get(network);
    others?.delete(guest);
    if (others?.size === 0) this.#networks.delete(network);
  }

  /** All who wait. */
  get guests(): Guest[] {
    return [...this.#near, ...this.#far.keys()];
  }

  #enterNear(guest: Guest): Guest | undefined {
    this.#near.add(guest);
    return this.#near.size > this.#options.most ? first(this.#near) : undefined;
  }

  #enterFar(guest: Guest, network: string): Guest | undefined {
    const own = this.#networks.get(network) ?? new Set();
    this.#networks.set(network, own.add(guest));
    this.#far.set(guest, network);
    if (own.size > this.#options.mostOfNetwork) return guest;
    if (this.#far.size <= this.#options.most) return undefined;
    const most = Math.max(...[...this.#networks.values()].map(({ size }) => size));
    const greediest = [...this.#networks.values()].find(({ size }) => size === most);
    return [...(greediest ?? [])].at(-1);
  }
}

function isNear(remote: string | undefined): remote is undefined {
  return remote === undefined || isLoopback(remote) || isLoopback(networkOf(remote));
}

function first<T>(set: ReadonlySet<T>): T | undefined {
  for (const each of set) return each;
  return undefined;
}
