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
import type { SessionEnd } from '../../../proto/handshake.js';
import { encodeObject, encodePacket, PACKET, PREFACE } from '../../../proto/wire/packet.js';
import type { Refusal } from '../../observatory/session-log.js';
import type { Peer } from '../../trust/admission.js';
import { type LocalUser, OWNER } from '../../trust/local-users.js';
import { Greeting } from './greeting.js';
import { type ListenAddress, listenAt } from './listen-address.js';
import { NearDoor } from './near-socket.js';
import { WaitingRoom, type WaitingRoomOptions } from './waiting-room.js';

/** A connection on which a client has said what it wants of a session. It is not read until somebody takes it. */
export interface Caller extends Peer {
  socket: Duplex;
  /** The packet's kind and body. */
  kind: number | undefined;
  body: Uint8Array;
  /** What was read behind it. */
  head: Uint8Array;
  /** Whether it speaks as clients of before version 3 did, whose sessions were no gRPC. It is told so, and not served. */
  outdated: boolean;
  /** To be called when it is known whose it is; until then it may have to give way to others. */
  known(): void;
}

export interface FrontDoorOptions {
  /** A gRPC client's connection, of which nothing was read; `known` is as a Caller's. */
  onGrpc(socket: Socket, user: LocalUser, known: () => void): void;
  /** Whose process has the other end of a connection to a port, in plaintext. Never rejects. */
  userOf(socket: Socket): Promise<LocalUser>;
  /** Who may connect to a unix socket, as the mode of its file. */
  socketMode: number;
  onCaller(caller: Caller): void;
  /** A connection from this address is not served. */
  onRefused(refusal: Refusal, remote: string | undefined): void;
  /** How many connections may be unknown at a time; those whose TLS is being set up count. */
  waiting: WaitingRoomOptions;
  /** How long a client may take for TLS, and to say who it is, in milliseconds. Default 10 s. */
  greetingMs?: number | undefined;
  /** Whether programs of this machine meet the host at a unix socket too, where no token is asked for. */
  near: boolean;
  /** Where given, nothing but TLS is spoken. */
  tls?: TlsOptions | undefined;
}

const GREETING_MS = 10_000;
/** How long a client that is not served may take to hang up, in milliseconds. */
const REFUSED_MS = 5000;
/** How often a client hears something that waits for an executor, in milliseconds: it bears 30 s of silence. */
const REASSURE_MS = 5000;
/** Why a connection is closed of which it is not known whose it is. */
const CROWDED: SessionEnd = {
  code: 'BUSY',
  message: 'it gave way to others, since too many had not said yet who they are; try again later',
};

/** A peer of which it is still being looked up whose process it is. */
interface Unidentified {
  remote: string | undefined;
  user: Promise<LocalUser>;
}

/** The system lets nobody else come by a unix socket, or its folder, unless its owner wants it so. */
const OWNED: Promise<LocalUser> = Promise.resolve(OWNER);
/** In TLS the token decides. */
const UNASKED: Promise<LocalUser> = Promise.resolve(undefined);

/**
 * The one port of a host: tells packets of a session from gRPC by the first byte of a connection (a packet's is the F of
 * the preface, HTTP/2's the P of its own) or by what TLS has agreed on, and reads of a session as much as is needed
 * to know whose it is.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #greetingMs: number;
  readonly #server: Server;
  readonly #tls: TlsServer | undefined;
  #isUnix = false;
  /** For clients of this machine, beside a loopback port. */
  #near: NearDoor | undefined;
  /** Connections, as they were accepted, of which it is not known whose they are. */
  readonly #waiting: WaitingRoom<{ socket: Duplex; remote: string | undefined }>;
  /** What is done when it is known, by the connection's `lineOf`, while its TLS is being set up. */
  readonly #securing = new Map<string, () => void>();

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#greetingMs = options.greetingMs ?? GREETING_MS;
    this.#waiting = new WaitingRoom(options.waiting);
    this.#server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => this.#accept(socket));
    if (!options.tls) return;
    // It does not listen itself, so that handshakes count among what is waiting. One that fails it closes alone.
    this.#tls = createTlsServer({ ...options.tls, handshakeTimeout: this.#greetingMs });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#insecure(error, socket));
  }

  /** Shows another certificate from now on; connections that there are keep theirs. */
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
      this.#near = await NearDoor.open(bound, (socket) => {
        this.#hear(socket, { remote: bound.address, user: OWNED });
      });
    return bound.port;
  }

  /** Takes no more connections, and closes those that are not known. The others are no longer the door's. */
  close(): void {
    for (const { socket } of this.#waiting.guests) socket.destroy();
    this.#server.close();
    this.#near?.close();
  }

  /** Hears a client that came by another door, where it may only have a session. */
  take(connection: Duplex, remote: string | undefined, user: Promise<LocalUser>): void {
    const known = this.#wait(connection, remote);
    connection.once('data', (first) => this.#greet(connection, { remote, user }, first, known));
  }

  #accept(socket: Socket): void {
    const remote = socket.remoteAddress;
    if (this.#tls) this.#secure(this.#tls, socket, this.#wait(socket, remote));
    else this.#hear(socket, { remote, user: this.#isUnix ? OWNED : this.#options.userOf(socket) });
  }

  /** Counts a connection among those that are not known; gives what ends that. */
  #wait(socket: Duplex, remote: string | undefined): () => void {
    socket.on('error', () => {});
    const timer = setTimeout(() => socket.destroy(), this.#greetingMs).unref();
    const guest = { socket, remote };
    const known = () => {
      clearTimeout(timer);
      this.#waiting.leave(guest);
    };
    socket.once('close', known);
    const leaver = this.#waiting.enter(guest, remote);
    if (leaver) {
      this.#options.onRefused(CROWDED, leaver.remote);
      leaver.socket.destroy();
    }
    return known;
  }

  #secure(tls: TlsServer, socket: Socket, known: () => void): void {
    if (socket.destroyed) return;
    const line = lineOf(socket);
    this.#securing.set(line, known);
    socket.once('close', () => this.#securing.delete(line));
    tls.emit('connection', socket);
  }

  /** TLS is spoken from now on, and a client's certificate, where one is asked for, is one to trust. */
  #secured(socket: TLSSocket): void {
    socket.on('error', () => {});
    const line = lineOf(socket);
    const known = this.#securing.get(line);
    // The client has gone already, or speaks nothing that is spoken here.
    if (!known || !socket.alpnProtocol) {
      socket.destroy();
      return;
    }
    this.#securing.delete(line);
    if (socket.alpnProtocol !== 'h2') {
      this.#hear(socket, { remote: socket.remoteAddress, user: UNASKED }, known);
      return;
    }
    this.#options.onGrpc(socket, undefined, known);
  }

  /** Who only looked whether somebody listens is not worth a word. */
  #insecure({ code, message }: NodeJS.ErrnoException, { remoteAddress }: TLSSocket): void {
    if (code === 'ECONNRESET') return;
    const why = `TLS could not be set up: ${code ?? message}`;
    this.#options.onRefused({ code: 'TLS_FAILED', message: why }, remoteAddress);
  }

  #hear(socket: Socket, peer: Unidentified, known = this.#wait(socket, peer.remote)): void {
    socket.once('data', (first) => {
      if (this.#tls || first[0] === PREFACE[0]) {
        this.#greet(socket, peer, first, known);
        return;
      }
      socket.pause();
      socket.unshift(first);
      void peer.user.then((user) => {
        if (!socket.destroyed) this.#options.onGrpc(socket, user, known);
      });
    });
  }

  #greet(socket: Duplex, { remote, user: whose }: Unidentified, first: Buffer, known: () => void): void {
    const greeting = new Greeting();
    const read = (piece: Buffer) => {
      try {
        const rest = greeting.push(piece);
        if (!rest) return;
        socket.off('data', read);
        socket.pause();
        const [kind] = greeting.packet;
        // The client is to know at once that a host is here; what is unsent of it would be lost with the handle.
        socket.write(PREFACE, () => {
          const outdated = socket instanceof Socket && socket.remotePort !== undefined;
          void whose.then((user) => {
            if (socket.destroyed) return;
            const body = greeting.packet.subarray(1);
            this.#options.onCaller({ socket, remote, user, kind, body, head: rest, known, outdated });
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

/** Tells a client why it is not served, and closes the connection. */
export function refuse(socket: Duplex, end: SessionEnd): void {
  if (socket.destroyed) return;
  socket.resume();
  socket.end(encodeObject(PACKET.end, end));
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** Tells a client from time to time that the host is there, for as long as it waits: one that hears nothing comes again. */
export function reassure(socket: Duplex, waits: () => boolean, everyMs: number = REASSURE_MS): void {
  const timer = setInterval(() => {
    if (waits() && socket.writable) socket.write(encodePacket(PACKET.ping));
    else clearInterval(timer);
  }, everyMs).unref();
}

/** What names a connection, as it was accepted and as it is secured. */
function lineOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`;
}
