import type { AddressInfo, Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { shownHost } from '../../../link/address/host-port.js';
import { clearTimeout, monotonicNow, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import type { LocalUser, LocalUsers } from '../local-users.js';
import { WaitingRoom } from './waiting-room.js';

/** An address to listen on. */
export interface Address {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
}

/** How long a client may take for the TLS handshake and its first request, in milliseconds. */
const FIRST_REQUEST_MS = 10_000;
/** The most connections of clients that are not known yet. */
const WAITING = { most: 256, mostOfNetwork: 64 };
/** The most connections of all clients. */
const MOST_CONNECTIONS = 2048;

/** A connection whose client is not known yet. */
interface Newcomer {
  /** When it was accepted, by `monotonicNow`. */
  readonly since: number;
  /** The client is known: the connection may stay. */
  known(): void;
  /** Whether the connection may have to give way to others. */
  givesWay(gives: boolean): void;
}

/**
 * The connections of a server's port. It bounds how many clients may be unknown, and for how long. A known client's
 * connection may stay.
 */
export class Newcomers {
  readonly #server: Server;
  readonly #waiting = new WaitingRoom<Socket>({ ...WAITING });
  /** All connections, as accepted. */
  readonly #sockets = new Set<Socket>();
  /** By `addressesOf`. */
  readonly #newcomers = new Map<string, Newcomer>();

  /** @param firstRequestMs default 10 s. */
  constructor(server: Server, firstRequestMs: number = FIRST_REQUEST_MS) {
    this.#server = server;
    server.maxConnections = MOST_CONNECTIONS;
    server.on('connection', (socket: Socket) => this.#enter(socket, firstRequestMs));
  }

  /** The client at the other end of this connection, or of the one beneath it, is known. */
  known(socket: Socket | TLSSocket): void {
    this.#newcomers.get(addressesOf(socket))?.known();
  }

  /**
   * Looks up the user of the process at the other end. Meanwhile the connection does not give way to others, nor later if
   * the server admits the user. Otherwise a crowd of clients that try again could keep all of them out: each would give
   * way before its user is found. Never rejects.
   */
  async userOf(socket: Socket, users: LocalUsers): Promise<LocalUser> {
    const newcomer = this.#newcomers.get(addressesOf(socket));
    newcomer?.givesWay(false);
    // Of a burst of connections, all were accepted before the first request is read: they share its reading.
    const user = await users.of(socket, newcomer?.since);
    if (!users.admits(user)) newcomer?.givesWay(true);
    return user;
  }

  /** Resolves to the port. @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects) */
  listen({ host, port }: Address, option: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const failed = (cause: NodeJS.ErrnoException) => reject(bindError({ host, port }, option, cause));
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        // A process without free descriptors accepts no connection, and carries on with the ones it has.
        this.#server.on('error', () => {});
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts no more connections, and closes the unknown ones. Resolves when no connection is left. */
  close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    for (const socket of this.#waiting.connections) socket.destroy();
    return closed;
  }

  /** Ends all connections now. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #enter(socket: Socket, firstRequestMs: number): void {
    // An error closes the socket, and `close` says all that matters.
    socket.on('error', () => {});
    this.#sockets.add(socket);
    const addresses = addressesOf(socket);
    const timer = setTimeout(() => socket.destroy(), firstRequestMs).unref();
    const newcomer: Newcomer = {
      since: monotonicNow(),
      known: () => {
        clearTimeout(timer);
        this.#newcomers.delete(addresses);
        this.#waiting.leave(socket);
      },
      givesWay: (gives) => {
        // A known or closed connection does not come back to the room.
        if (!gives) this.#waiting.leave(socket);
        else if (this.#newcomers.get(addresses) === newcomer) this.#enterRoom(socket);
      },
    };
    this.#newcomers.set(addresses, newcomer);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      newcomer.known();
    });
    this.#enterRoom(socket);
  }

  #enterRoom(socket: Socket): void {
    this.#waiting.enter(socket, socket.remoteAddress)?.destroy();
  }
}

/** Identifies a connection both as the TCP socket and as the TLS socket around it. */
function addressesOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}

function bindError({ host, port }: Address, option: string, cause: NodeJS.ErrnoException): FarlightError {
  const where = `${shownHost(host)}:${port}`;
  if (cause.code === 'EADDRINUSE') {
    return new FarlightError(
      'PORT_IN_USE',
      `${where} is in use already; stop the program that listens there, or choose another port with ${option} ${shownHost(host)}:PORT (0: any free one)`,
      { cause },
    );
  }
  return new FarlightError(
    'BAD_OPTION',
    `farlight cannot listen on ${where} (${cause.message}); name another address with ${option} HOST:PORT`,
    { cause },
  );
}
