import { Channel, type ChannelBounds, type ChannelConnection } from '#farlight/link/channel/channel.js';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import {
  countBody,
  decodeCount,
  encodePacket,
  PACKET,
  PACKET_LIMIT,
  type PacketKind,
} from '#farlight/proto/wire/packet.js';

/** The bytes on the way to a peer beyond which a connection says that it is full. */
const FULL_BYTES = 500;

/** What every frame of the simulation begins with: its number, in four bytes. */
export const NUMBER_BYTES = 4;

/** One direction of a connection: bytes on their way, which come in pieces of any size. */
class OneWay implements ChannelConnection {
  #bytes = Buffer.alloc(0);
  #full = false;
  readonly #decoder: PacketDecoder;
  readonly #onDrain: () => void;

  constructor(onPacket: (kind: number | undefined, body: Uint8Array) => void, onDrain: () => void) {
    this.#decoder = new PacketDecoder((packet) => onPacket(packet[0], packet.subarray(1)), PACKET_LIMIT);
    this.#onDrain = onDrain;
  }

  get length(): number {
    return this.#bytes.length;
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    this.#bytes = Buffer.concat([this.#bytes, encodePacket(kind, body)]);
    this.#full ||= this.#bytes.length >= FULL_BYTES;
    return !this.#full;
  }

  /** Delivers so many bytes, or what there is. */
  deliver(count: number): void {
    const piece = Uint8Array.from(this.#bytes.subarray(0, count));
    this.#bytes = this.#bytes.subarray(count);
    this.#decoder.push(piece);
    if (!this.#full || this.#bytes.length > 0) return;
    this.#full = false;
    this.#onDrain();
  }
}

/** One end: its channel, and what it saw. */
export class Peer {
  readonly channel: Channel;
  /** The numbers of the frames that it was handed. */
  readonly got: number[] = [];
  /** Every count that it has told the peer, in acknowledgements and when it went on. */
  readonly told: number[] = [];
  sent = 0;
  keptMost = 0;

  constructor(bounds: ChannelBounds) {
    this.channel = new Channel(
      {
        onFrame: (frame) => {
          this.got.push(new DataView(frame.buffer, frame.byteOffset).getUint32(0));
          if (frame.subarray(NUMBER_BYTES).some((byte) => byte !== frame.length % 256))
            this.got.push(Number.NaN);
        },
      },
      bounds,
    );
  }

  send(length: number): void {
    const frame = new Uint8Array(length).fill(length % 256);
    new DataView(frame.buffer).setUint32(0, this.sent++);
    this.channel.send(frame);
    this.keptMost = Math.max(this.keptMost, this.channel.keptBytes);
  }
}

/**
 * A client and a host that are joined by connections, which are cut and made anew as a client makes them: it
 * says what it has taken, and the host answers with what it has.
 */
export class SimulatedLink {
  readonly client: Peer;
  readonly host: Peer;
  #up: OneWay | undefined;
  #down: OneWay | undefined;
  /** What this connection's end at the client and at the host still hear. */
  #attempt = 0;

  constructor(bounds: ChannelBounds) {
    this.client = new Peer(bounds);
    this.host = new Peer(bounds);
    this.#connect(true);
  }

  get idle(): boolean {
    return !this.#up?.length && !this.#down?.length;
  }

  /** Delivers so many bytes of what is under way to a peer. */
  deliver(to: 'client' | 'host', count: number): void {
    if (to === 'host') this.#up?.deliver(count);
    else this.#down?.deliver(count);
  }

  /** Loses the connection and what is under way. The host need not notice before the client comes back. */
  cut(hostNotices: boolean): void {
    this.#attempt += 1;
    this.#up = undefined;
    this.#down = undefined;
    this.client.channel.detach();
    if (hostNotices) this.host.channel.detach();
  }

  /** Makes a connection where there is none. */
  reconnect(): void {
    if (!this.#up) this.#connect(false);
  }

  #connect(first: boolean): void {
    const attempt = ++this.#attempt;
    const { client, host } = this;
    const current = (act: () => void) => {
      if (attempt === this.#attempt) act();
    };
    const up: OneWay = new OneWay(
      (kind, body) =>
        current(() => {
          if (kind !== PACKET.resume) {
            if (!host.channel.receive(kind, body)) throw new Error(`a packet of kind ${kind}`);
            return;
          }
          host.told.push(host.channel.taken);
          down.send(PACKET.resumed, countBody(host.channel.taken));
          host.channel.attach(heard(host, down), decodeCount(body));
        }),
      () => current(() => client.channel.drained()),
    );
    const down: OneWay = new OneWay(
      (kind, body) =>
        current(() => {
          if (kind === PACKET.resumed) client.channel.attach(heard(client, up), decodeCount(body));
          else if (!client.channel.receive(kind, body)) throw new Error(`a packet of kind ${kind}`);
        }),
      () => current(() => host.channel.drained()),
    );
    this.#up = up;
    this.#down = down;
    if (first) {
      client.channel.attach(heard(client, up), 0);
      host.channel.attach(heard(host, down), 0);
    } else {
      client.told.push(client.channel.taken);
      up.send(PACKET.resume, countBody(client.channel.taken));
    }
  }
}

/** A connection of which a peer's acknowledgements are written down. */
function heard(peer: Peer, way: OneWay): ChannelConnection {
  return {
    send(kind, body) {
      if (kind === PACKET.ack) peer.told.push(decodeCount(body));
      return way.send(kind, body);
    },
  };
}
