import { createServer, type Server, type Socket } from 'node:net';
import { ProtocolError } from '../../proto/errors.js';
import type { SessionEnd } from '../../proto/handshake.js';
import { encodeObject, PACKET, PREFACE } from '../../proto/wire/packet.js';
import type { ListenAddress } from './listen-address.js';

/** A connection on which a client has said what it wants of a session. It is not read until somebody takes it. */
export interface Caller {
  socket: Socket;
  /** The packet's kind and body. */
  kind: number | undefined;
  body: Uint8Array;
  /** What was read behind it. */
  head: Uint8Array;
}

export interface FrontDoorOptions {
  /** A gRPC client's connection, of which nothing was read. */
  onGrpc(socket: Socket): void;
  onCaller(caller: Caller): void;
  /** A connection from this address is not served. */
  onRefused(end: SessionEnd, remote: string | undefined): void;
  /** How many connections may be without a first word at a time. */
  maxWaiting: number;
}

/** How long a client may take for its first words, in milliseconds. */
const GREETING_MS = 10_000;
/** Why a connection is closed of which nothing was read. */
const CROWDED: SessionEnd = {
  code: 'BUSY',
  message: 'too many connections wait to say their first words; try again later',
};
/** The longest of them, in bytes. */
const GREETING_BYTES = 64 << 10;

/**
 * The one port of a host: tells sessions from gRPC by the first byte of a connection (a session's is the F of
 * the preface, HTTP/2's the P of its own), and reads of a session as much as is needed to know whose it is.
 */
export class FrontDoor {
  readonly #options: FrontDoorOptions;
  readonly #server: Server;
  /** Connections that nobody has taken yet. */
  readonly #waiting = new Set<Socket>();

  constructor(options: FrontDoorOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, pauseOnConnect: false }, (socket) => this.#accept(socket));
  }

  /** Resolves to the port, or to 0 for a unix socket. @throws the bind error (rejects). */
  listen({ host, port, path }: ListenAddress): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path === undefined ? { host, port } : { path }, () => {
        this.#server.off('error', reject);
        const bound = this.#server.address();
        resolve(typeof bound === 'object' && bound ? bound.port : 0);
      });
    });
  }

  /** Takes no more connections, and closes those that nobody has taken. The others are no longer the door's. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    socket.on('error', () => {});
    if (this.#waiting.size >= this.#options.maxWaiting) {
      this.#options.onRefused(CROWDED, socket.remoteAddress);
      socket.destroy();
      return;
    }
    this.#waiting.add(socket);
    const timer = setTimeout(() => socket.destroy(), GREETING_MS).unref();
    const forget = () => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
    };
    socket.once('close', forget);
    socket.once('data', (first) => {
      if (first[0] === PREFACE[0]) {
        this.#greet(socket, first, forget);
        return;
      }
      forget();
      socket.pause();
      socket.unshift(first);
      this.#options.onGrpc(socket);
    });
  }

  #greet(socket: Socket, first: Buffer, forget: () => void): void {
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
          forget();
          this.#options.onCaller({ socket, kind, body: greeting.packet.subarray(1), head: rest });
        });
      } catch (error) {
        if (!(error instanceof ProtocolError)) throw error;
        socket.write(PREFACE);
        const end: SessionEnd = { code: 'PROTOCOL_ERROR', message: error.message };
        this.#options.onRefused(end, socket.remoteAddress);
        refuse(socket, end);
      }
    };
    socket.on('data', read);
    read(first);
  }
}

/** Tells a client why it is not served, and closes the connection. */
export function refuse(socket: Socket, end: SessionEnd): void {
  socket.resume();
  socket.end(encodeObject(PACKET.end, end));
}

/** The preface and the packet behind it. */
class Greeting {
  packet: Uint8Array = new Uint8Array(0);
  #bytes: Uint8Array = new Uint8Array(0);

  /** Returns what comes behind the packet once that is complete. @throws ProtocolError where it is none. */
  push(piece: Uint8Array): Uint8Array | undefined {
    this.#bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece]);
    const preface = this.#bytes.subarray(0, PREFACE.length);
    if (preface.some((byte, at) => byte !== PREFACE[at]))
      throw new ProtocolError('this is no Farlight client');
    if (this.#bytes.length < PREFACE.length + 4) return undefined;
    const length = new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getUint32(PREFACE.length, true);
    if (length > GREETING_BYTES)
      throw new ProtocolError('a session begins with Hello or Resume, and briefly');
    const end = PREFACE.length + 4 + length;
    if (this.#bytes.length < end) return undefined;
    this.packet = this.#bytes.subarray(PREFACE.length + 4, end);
    return this.#bytes.subarray(end);
  }
}
