import { ipBytes } from '../../../link/address/ip-bytes.js';
import { isLoopback } from '../../../link/address/loopback.js';

export interface WaitingRoomOptions {
  /** How many connections may wait from other machines, and how many from this one. */
  most: number;
  /** How many may wait from one network of other machines. */
  mostOfNetwork: number;
}

/**
 * The connections whose peers are still unknown. Where there are too many, it chooses one to close.
 *
 * Of other machines, it chooses the newest connection from the network that has the most here, which may be the
 * newcomer. So a flood from one network keeps out nobody else. Among equal networks, the one that has been here longest
 * gives way.
 *
 * Connections from this machine have a room of their own. They cannot be told apart, since a local proxy may carry
 * anybody's. The oldest gives way: a local client sends its first packet at once.
 */
export class WaitingRoom<Connection> {
  readonly #options: WaitingRoomOptions;
  /** The oldest first. */
  readonly #local = new Set<Connection>();
  /** By network: the network that has been here longest is first, and within a network the oldest connection. */
  readonly #networks = new Map<string, Set<Connection>>();
  readonly #remote = new Map<Connection, string>();

  constructor(options: WaitingRoomOptions) {
    this.#options = options;
  }

  /**
   * Adds a connection.
   *
   * @param remote the socket's remote address; undefined on a unix socket.
   * @returns the connection to close for it, which is no longer in the room; undefined where there is space.
   */
  enter(connection: Connection, remote: string | undefined): Connection | undefined {
    const leaver = isLocal(remote)
      ? this.#enterLocal(connection)
      : this.#enterRemote(connection, networkOf(remote));
    if (leaver !== undefined) this.leave(leaver);
    return leaver;
  }

  /** Removes a connection: its peer is known, or it has closed. */
  leave(connection: Connection): void {
    this.#local.delete(connection);
    const network = this.#remote.get(connection);
    if (network === undefined) return;
    this.#remote.delete(connection);
    const others = this.#networks.get(network);
    others?.delete(connection);
    if (others?.size === 0) this.#networks.delete(network);
  }

  /** All waiting connections. */
  get connections(): Connection[] {
    return [...this.#local, ...this.#remote.keys()];
  }

  #enterLocal(connection: Connection): Connection | undefined {
    this.#local.add(connection);
    const [oldest] = this.#local;
    return this.#local.size > this.#options.most ? oldest : undefined;
  }

  #enterRemote(connection: Connection, network: string): Connection | undefined {
    const own = this.#networks.get(network) ?? new Set();
    this.#networks.set(network, own.add(connection));
    this.#remote.set(connection, network);
    if (own.size > this.#options.mostOfNetwork) return connection;
    if (this.#remote.size <= this.#options.most) return undefined;
    const most = Math.max(...[...this.#networks.values()].map(({ size }) => size));
    const largest = [...this.#networks.values()].find(({ size }) => size === most);
    return [...(largest ?? [])].at(-1);
  }
}

/**
 * The network that one client on the internet probably owns: an IPv4 address, or the first 64 bits of an IPv6 address.
 * An IPv4 address that a dual-stack socket shows as IPv6 (`::ffff:a.b.c.d`) counts as IPv4.
 */
export function networkOf(address: string): string {
  const bytes = ipBytes(address);
  if (!bytes) return address;
  if (bytes.length === 4) return bytes.join('.');
  const mapped = bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  if (mapped) return bytes.slice(12).join('.');
  return `${Buffer.from(bytes.subarray(0, 8)).toString('hex')}/64`;
}

function isLocal(remote: string | undefined): remote is undefined {
  return remote === undefined || isLoopback(remote) || isLoopback(networkOf(remote));
}
