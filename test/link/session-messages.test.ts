import { describe, expect, it } from 'vitest';
import { sessionsService } from '#farlight/link/grpc/host-service.js';
import { messageOf, packetOf, type SessionMessage } from '#farlight/link/grpc/session-messages.js';
import {
  decodeObject,
  encodeCount,
  encodeObject,
  encodePacket,
  PACKET,
  type PacketKind,
} from '#farlight/proto/wire/packet.js';

const { Open } = sessionsService();
const WAYS = {
  up: (message: SessionMessage) => Open.requestDeserialize(Open.requestSerialize(message)),
  down: (message: SessionMessage) => Open.responseDeserialize(Open.responseSerialize(message)),
};

/** A packet without its length, as it arrives after it crossed gRPC. */
function across(way: keyof typeof WAYS, packet: Uint8Array, token?: string): Uint8Array {
  const { kind, body } = packetOf(WAYS[way](messageOf(packet[4], packet.subarray(5))), token);
  return encodePacket(kind, body);
}

const HELLO = { protocolMin: 2, protocolMax: 3, version: '0.1.0', program: 'a.mjs' };
const WELCOME = {
  protocol: 2,
  version: '0.1.0',
  sessionId: 'id',
  resumeMs: 30_000,
  adapter: { name: 'a', vendor: 'b', architecture: 'c', software: true, driver: 'd' },
  wgslLanguageFeatures: ['packed_4x8_integer_dot_product'],
  activity: true,
  memory: true,
  lines: true,
};
const end = { code: 'BUSY', message: 'later' };

describe('a packet that crosses gRPC', () => {
  it('a packet arrives over gRPC as it left, frames and counts byte for byte', () => {
    const frame = encodePacket(PACKET.data, Uint8Array.of(0, 1, 2, 255));
    const packed = encodePacket(PACKET.packed, Uint8Array.of(4, 0, 0, 0, 9, 8));
    const count = (kind: PacketKind) => encodeCount(kind, 2 ** 40 + 1);
    const both = [frame, packed, count(PACKET.ack), encodePacket(PACKET.ping), encodePacket(PACKET.pong)];
    for (const packet of [...both, encodePacket(PACKET.bye)]) expect(across('up', packet)).toEqual(packet);
    for (const packet of [...both, count(PACKET.resumed), encodeCount(PACKET.resumed, 0)])
      expect(across('down', packet)).toEqual(packet);
  });

  it('a packet keeps every member of its object, and gets no other', () => {
    const compression = { mode: 'auto', encodings: ['brotli'] };
    const objects: [keyof typeof WAYS, PacketKind, object][] = [
      ['up', PACKET.hello, HELLO],
      ['up', PACKET.hello, { ...HELLO, compression, key: 'k', moves: true }],
      ['up', PACKET.resume, { sessionId: 'id', taken: 2 ** 33, attempt: 7 }],
      ['down', PACKET.welcome, WELCOME],
      [
        'down',
        PACKET.welcome,
        {
          ...WELCOME,
          contents: { filter: 'AAEC/w==', largestBytes: 2 ** 31 },
          compression: { mode: 'on', encoding: 'brotli' },
          windowBytes: 1 << 20,
        },
      ],
      ['down', PACKET.end, end],
      ['down', PACKET.moved, { address: 'grpcs://host:7070?ca=pin', sessionId: 'another' }],
    ];
    for (const [way, kind, object] of objects) {
      const packet = across(way, encodeObject(kind, object));
      expect(packet[4]).toBe(kind);
      expect(decodeObject(packet.subarray(5))).toEqual(object);
    }
  });

  it('a hello or a resume gets the token that came beside it', () => {
    for (const [kind, object] of [
      [PACKET.hello, HELLO],
      [PACKET.resume, { sessionId: 'id', taken: 0, attempt: 1 }],
    ] as const) {
      const packet = across('up', encodeObject(kind, object), 'flt_token');
      expect(decodeObject(packet.subarray(5))).toEqual({ ...object, token: 'flt_token' });
    }
  });
});

describe('a packet that belongs to one machine', () => {
  it('a packet that belongs to one machine crosses no network', () => {
    for (const kind of [PACKET.offer, PACKET.offerReply, PACKET.placed, 15, 255, undefined])
      expect(() => messageOf(kind, new Uint8Array(8))).toThrow(/does not cross a network/);
  });
});

describe('a message', () => {
  it('a message without a known member is refused', () => {
    for (const message of [{}, { message: 'later' }, { message: 'toString' }, WAYS.up({})])
      expect(() => packetOf(message as SessionMessage)).toThrow(/empty, or of a later version/);
  });

  it('no message is made of a packet whose body is not of its kind', () => {
    expect(() => messageOf(PACKET.ack, new Uint8Array(7))).toThrow(/8 bytes/);
    expect(() => messageOf(PACKET.packed, new Uint8Array(3))).toThrow(/cut off/);
    expect(() => messageOf(PACKET.hello, Uint8Array.of(1))).toThrow(/no object/);
  });
});
