import { createServer, type Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  createServer as createTlsServer,
  type TLSSocket,
  type TlsOptions,
  type Server as TlsServer,
} from 'node:tls';
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../../../link/machine/clock.js';
import { ProtocolError } from '../../../proto/errors.js';
import type { Moved } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { encodeObject, encodePacket, PACKET, PREFACE } from '../../../proto/wire/packet.js';
import type { Refusal } from '../../observatory/session-log.js';
import type { Peer } from '../../trust/admission.js';
import type { ListenAddress } from '../../trust/listen-address.js';
import { type LocalUser, OWNER } from '../../trust/local-users.js';
import { WaitingRoom, type WaitingRoomOptions } from '../../trust/newcomers/waiting-room.js';
import { type FirstPacket, FirstPacketReader } from './first-packet.js';
import { NearSocket } from './near-socket.js';
import { listenAt } from './sockets.js';

/** A connection whose first packet asks to open or resume a session. It stays paused until somebody takes it. */
export interface SessionRequest extends Peer {
  socket: Duplex;
  packet: FirstPacket;
  /** The bytes behind the packet that were read with it. */
  head: Uint8Array;
  /** Whether the client is older than version 3, which spoke packets without gRPC. The host tells it, and refuses. */
  outdated: boolean;
  /** Call this once the client is known. Until then the connection may have to give way to others. */
  known(): void;
}

export interface FrontDoorOptions {
  /** A gRPC client's connection, from which nothing was read; `known` is as in SessionRequest. */
  onGrpc(socket: Socket, user: LocalUser, known: () => void): void;
  /** The user of the process at the other end of a plaintext connection to a port. Never rejects. */
  userOf(socket: Socket): Promise<LocalUser>;
  /** The mode of a unix socket's file, which decides who may connect. */
  socketMode: number;
  onSessionRequest(request: SessionRequest): void;
  /** The host refuses a connection from this address. */
  onRefused(refusal: Refusal, remote: string | undefined): void;
  /** How many unknown connections there may be at a time, TLS handshakes included. */
  waiting: WaitingRoomOptions;
  /** How long a client may take for the TLS handshake and its first packet, in milliseconds. Default 10 s. */
  firstPacketMs?: number | undefined;
  /** Whether programs on this machine also find the host at a unix socket. Only without tokens. */
  near: boolean;
  /** Where given, the host speaks TLS alone. */
  tls?: TlsOptions | undefined;
}

const FIRST_PACKET_MS = 10_000;
/** How long a refused client may take to disconnect, in milliseconds. */
const REFUSED_MS = 5000;
/** How often a client that waits for an executor gets a ping, in milliseconds: it gives up after 15 s of silence. */
const REASSURE_MS = 5000;
/** The reason for closing an unknown connection. */
const CROWDED: SessionEnd = {
  code: 'BUSY',
  message:
    'too many connections have not said yet who they are, and this one gave way to others; try again later',
};

/** A peer while the host still looks up the user of its process. */
interface UnknownPeer {
  remote: string | undefined;
  user: Promise<LocalUser>;
}

/** The system keeps other users away from a unix socket, or its folder, unless the owner allows them. */
const OWNED: Promise<LocalUser> = Promise.resolve(OWNER);
/** Inside TLS the token decides, not the user. */
const UNASKED: Promise<LocalUser> = Promise.resolve(undefined);

/**
 * The one port of a host. It tells sessions from gRPC by the first byte of a connection (`F` of the packets' preface, or
 * `P` of HTTP/2's), or by the protocol that TLS has agreed on. From a session's connection it reads only the first
 * packet, which says who the client is.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #firstPacketMs: number;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  #isUnix = false;
  /** For programs on this machine, beside a loopback port. */
  #near: NearSocket | undefined;
  /** The connections, as accepted, whose peers are still unknown. */
  readonly #waiting: WaitingRoom<{ socket: Duplex; remote: string | undefined }>;
  /** During a TLS handshake: the connection's `known` function, by its `addressesOf`. */
  readonly #securing = new Map<string, () => void>();

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#firstPacketMs = options.firstPacketMs ?? FIRST_PACKET_MS;
    this.#waiting = new WaitingRoom(options.waiting);
    this.#server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => this.#accept(socket));
    if (!options.tls) return;
    // This server does not listen itself, so that handshakes count as waiting connections. It closes failed ones.
    this.#tls = createTlsServer({ ...options.tls, handshakeTimeout: this.#firstPacketMs });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#insecure(error, socket));
  }

  /** Shows another certificate to new connections. */
  renew(tls: TlsOptions): void {
    this.#tls?.setSecureContext(tls);
  }

  /** Resolves to the port, or to 0 for a unix socket. @throws the bind error (rejects). */
  async listen({ host, port, path }: ListenAddress): Promise<number> {
    this.#isUnix = path !== undefined;
    await listenAt(this.#server, path === undefined ? { host, port } : { path }, this.#options.socketMode);
    const bound = this.#server.address();
    if (typeof bound !== 'object' || !bound) return 0;
    if (this.#options.near)
      this.#near = await NearSocket.open(bound, (socket) => {
        this.#readFirst(socket, { remote: bound.address, user: OWNED });
      });
    return bound.port;
  }

  /** Accepts no more connections, and closes the unknown ones. The others belong to whoever took them. */
  close(): void {
    for (const { socket } of this.#waiting.connections) socket.destroy();
    this.#server.close();
    this.#near?.close();
  }

  /** Takes a connection from a gRPC call or a WebSocket. It may only carry a session. */
  take(connection: Duplex, remote: string | undefined, user: Promise<LocalUser>): void {
    const known = this.#wait(connection, remote);
    connection.once('data', (first) => this.#readPacket(connection, { remote, user }, first, known));
  }

  #accept(socket: Socket): void {
    const remote = socket.remoteAddress;
    if (this.#tls) this.#secure(this.#tls, socket, this.#wait(socket, remote));
    else this.#readFirst(socket, { remote, user: this.#isUnix ? OWNED : this.#options.userOf(socket) });
  }

  /** Counts a connection as unknown. @returns a function that says it is known. */
  #wait(socket: Duplex, remote: string | undefined): () => void {
    socket.on('error', () => {});
    const timer = setTimeout(() => socket.destroy(), this.#firstPacketMs).unref();
    const connection = { socket, remote };
    const known = () => {
      clearTimeout(timer);
      this.#waiting.leave(connection);
    };
    socket.once('close', known);
    const leaver = this.#waiting.enter(connection, remote);
    if (leaver) {
      this.#options.onRefused(CROWDED, leaver.remote);
      leaver.socket.destroy();
    }
    return known;
  }

  #secure(tls: TlsServer, socket: Socket, known: () => void): void {
    if (socket.destroyed) return;
    const addresses = addressesOf(socket);
    this.#securing.set(addresses, known);
    socket.once('close', () => this.#securing.delete(addresses));
    tls.emit('connection', socket);
  }

  /** The TLS handshake is done, and the client's certificate, if the host requires one, is trusted. */
  #secured(socket: TLSSocket): void {
    socket.on('error', () => {});
    const addresses = addressesOf(socket);
    const known = this.#securing.get(addresses);
    // The client has disconnected, or speaks none of the host's protocols.
    if (!known || !socket.alpnProtocol) {
      socket.destroy();
      return;
    }
    this.#securing.delete(addresses);
    if (socket.alpnProtocol !== 'h2') {
      this.#readFirst(socket, { remote: socket.remoteAddress, user: UNASKED }, known);
      return;
    }
    this.#options.onGrpc(socket, undefined, known);
  }

  /** A peer that resets the connection only checked whether the port is open: do not log it. */
  #insecure({ code, message }: NodeJS.ErrnoException, { remoteAddress }: TLSSocket): void {
    if (code === 'ECONNRESET') return;
    const why = `the TLS handshake failed: ${code ?? message}`;
    this.#options.onRefused({ code: 'TLS_FAILED', message: why }, remoteAddress);
  }

  /** Reads the first byte, which tells a session from gRPC. */
  #readFirst(socket: Socket, peer: UnknownPeer, known = this.#wait(socket, peer.remote)): void {
    socket.once('data', (first) => {
      if (this.#tls || first[0] === PREFACE[0]) {
        this.#readPacket(socket, peer, first, known);
        return;
      }
      socket.pause();
      socket.unshift(first);
      void peer.user.then((user) => {
        if (!socket.destroyed) this.#options.onGrpc(socket, user, known);
      });
    });
  }

  #readPacket(socket: Duplex, peer: UnknownPeer, first: Buffer, known: () => void): void {
    const { remote } = peer;
    const reader = new FirstPacketReader();
    const read = (piece: Buffer) => {
      try {
        const found = reader.push(piece);
        if (!found) return;
        const { packet, rest: head } = found;
        socket.off('data', read);
        socket.pause();
        // Tell the client at once that a host is here. Wait until it is sent: unsent bytes would be lost when the handle goes.
        socket.write(PREFACE, () => {
          const outdated = socket instanceof Socket && socket.remotePort !== undefined;
          void peer.user.then((user) => {
            if (socket.destroyed) return;
            this.#options.onSessionRequest({ socket, remote, user, packet, head, known, outdated });
          });
        });
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        socket.off('data', read);
        socket.write(PREFACE);
        const end: SessionEnd = { code: 'PROTOCOL_ERROR', message: error.message };
        this.#options.onRefused(end, remote);
        refuse(socket, end);
      }
    };
    socket.on('data', read);
    read(first);
  }
}

/** Tells a client why the host refuses it, and closes the connection. */
export function refuse(socket: Duplex, end: SessionEnd): void {
  endWith(socket, encodeObject(PACKET.end, end));
}

/** Tells a client which host has its session, and closes the connection. */
export function redirect(socket: Duplex, moved: Moved): void {
  endWith(socket, encodeObject(PACKET.moved, moved));
}

function endWith(socket: Duplex, packet: Uint8Array): void {
  if (socket.destroyed) return;
  socket.resume();
  socket.end(packet);
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** Pings a client while it waits. A client that hears nothing gives up and reconnects. */
export function reassure(socket: Duplex, waits: () => boolean, everyMs: number = REASSURE_MS): void {
  const timer = setInterval(() => {
    if (waits() && socket.writable) socket.write(encodePacket(PACKET.ping));
    else clearInterval(timer);
  }, everyMs).unref();
}

/** Identifies a connection both as the TCP socket and as the TLS socket around it. */
function addressesOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
