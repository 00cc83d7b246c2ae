import { connect } from 'node:net';
import { Duplex } from 'node:stream';
import { openGrpcCarrier } from '#farlight/client/transport/host/grpc-dialer.js';
import { findNear } from '#farlight/link/address/near-address.js';
import type { Carrier } from '#farlight/link/channel/carrier.js';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import {
  dataHeader,
  decodeObject,
  encodeObject,
  encodePacket,
  PACKET,
  PACKET_LIMIT,
  type PacketKind,
  PREFACE,
} from '#farlight/proto/wire/packet.js';
import { HELLO } from './session-client.js';

/** A client that says whatever a test wants, packet by packet, and acknowledges nothing by itself. */
export class RawClient {
  readonly socket: Duplex;
  readonly packets: Uint8Array[] = [];
  readonly closed: Promise<void>;
  #prefaceLeft = PREFACE.length;

  /** @param to a host's address on this machine, where it has a unix socket, or a connection that is being made. */
  constructor(to: string | Duplex) {
    this.socket = typeof to === 'string' ? connect(socketOf(to)) : to;
    const decoder = new PacketDecoder((packet) => this.packets.push(packet), PACKET_LIMIT);
    this.socket.on('data', (piece) => {
      const skip = Math.min(this.#prefaceLeft, piece.length);
      this.#prefaceLeft -= skip;
      decoder.push(piece.subarray(skip));
    });
    this.socket.on('error', () => {});
    this.closed = new Promise((resolve) => this.socket.on('close', () => resolve()));
  }

  say(kind: PacketKind, value: object): this {
    this.socket.write(encodeObject(kind, value));
    return this;
  }

  hello(more: object = {}): this {
    return this.greet(PACKET.hello, { ...HELLO, ...more });
  }

  /** The first words of a connection. */
  greet(kind: PacketKind, value: object): this {
    this.socket.write(PREFACE);
    return this.say(kind, value);
  }

  frame(frame: Uint8Array): this {
    this.socket.write(dataHeader(frame.length));
    this.socket.write(frame);
    return this;
  }

  /** The next packet of this kind, or the first that has come already. */
  async next(kind: PacketKind): Promise<Uint8Array> {
    for (;;) {
      const at = this.packets.findIndex(([first]) => first === kind);
      const found = at >= 0 ? this.packets.splice(at, 1)[0] : undefined;
      if (found) return found.subarray(1);
      if (this.socket.destroyed) throw new Error(`the connection closed before a packet of kind ${kind}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async object(kind: PacketKind): Promise<Record<string, unknown>> {
    return decodeObject(await this.next(kind));
  }
}

/** A connection over gRPC, to say on it whatever a test wants, as the bytes that a socket would carry. */
export function grpcLine(url: string): Duplex {
  const address = parseHostAddress(url, { tls: true });
  return new CarrierStream(
    openGrpcCarrier(address, {
      timeoutMs: 5000,
      certificate: undefined,
      session: 'raw',
    }),
  );
}

class CarrierStream extends Duplex {
  readonly #carrier: Carrier;
  readonly #decoder = new PacketDecoder(
    (packet) => this.#carrier.send(packet[0] as PacketKind, packet.subarray(1)),
    PACKET_LIMIT,
    () => {},
  );

  constructor(carrier: Carrier) {
    super({ allowHalfOpen: false });
    this.#carrier = carrier;
    carrier.start({
      onReached: () => this.push(PREFACE),
      onPacket: (kind, body) => this.push(encodePacket(kind as PacketKind, body)),
      onDrain: () => {},
      onBroken: (error) => this.destroy(error),
      onGone: (why) => {
        if (why) this.destroy(why);
        else this.push(null);
      },
    });
  }

  override _read(): void {}

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    try {
      this.#decoder.push(bytes);
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _final(done: () => void): void {
    this.#carrier.end(done);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#carrier.abort();
    done(error);
  }
}

/** Where the packets of a session travel as they are. */
function socketOf(url: string): string {
  if (url.startsWith('unix:')) return url.slice('unix:'.length);
  const { hostname, port } = new URL(url.replace('grpc:', 'http:'));
  const path = findNear(hostname, Number(port));
  if (path === undefined) throw new Error(`the host at ${url} has no unix socket`);
  return path;
}
