import type { AddressInfo, Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { shownHost } from '../../../link/address/host-port.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
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

/**
 * The connections of a server's port. It bounds how many clients may be unknown, and for how long. A known client's
 * connection may stay.
 */
export class Newcomers {
  readonly #server: Server;
  readonly #waiting = new WaitingRoom<Socket>({ ...WAITING });
  /** All connections, as accepted. */
  readonly #sockets = new Set<Socket>();
  /** By `addressesOf`: says that a connection is known. */
  readonly #known = new Map<string, () => void>();

  /** @param firstRequestMs default 10 s. */
  constructor(server: Server, firstRequestMs: number = FIRST_REQUEST_MS) {
    this.#server = server;
    server.maxConnections = MOST_CONNECTIONS;
    server.on('connection', (socket: Socket) => this.#enter(socket, firstRequestMs));
  }

  /** The client at the other end of this connection, or of the one beneath it, is known. */
  known(socket: Socket | TLSSocket): void {
    this.#known.get(addressesOf(socket))?.();
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
    const known = () => {
      clearTimeout(timer);
      this.#known.delete(addresses);
      this.#waiting.leave(socket);
    };
    this.#known.set(addresses, known);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      known();
    });
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
      `${where} is in use already; stop what listens there, or choose another port with ${option} ${shownHost(host)}:PORT (0: any free one)`,
      { cause },
    );
  }
  return new FarlightError('BAD_OPTION', `farlight cannot listen on ${where}: ${cause.message}`, { cause });
}
