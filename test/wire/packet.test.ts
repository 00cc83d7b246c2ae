import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import {
  dataHeader,
  decodeCount,
  decodeObject,
  encodeCount,
  encodeObject,
  encodePacket,
  PACKET,
  PACKET_LIMIT,
  PREFACE,
} from '#farlight/proto/wire/packet.js';

/** The packets that a stream of bytes carries. */
function decode(...pieces: Uint8Array[]): number[][] {
  const packets: number[][] = [];
  const decoder = new PacketDecoder((packet) => packets.push([...packet]), PACKET_LIMIT);
  for (const piece of pieces) decoder.push(piece);
  expect(decoder.atBoundary).toBe(true);
  return packets;
}

describe('packets', () => {
  it('packets begin with their length, and then have their kind', () => {
    expect([...encodePacket(PACKET.ping)]).toEqual([1, 0, 0, 0, PACKET.ping]);
    expect(decode(encodePacket(PACKET.bye, Uint8Array.of(7, 8)))).toEqual([[PACKET.bye, 7, 8]]);
  });

  it('packets with frames may be written in two pieces', () => {
    const frame = Uint8Array.of(1, 2, 3);
    expect(decode(dataHeader(frame.length), frame)).toEqual([[PACKET.data, 1, 2, 3]]);
  });

  it('each kind of packets has a number of its own', () => {
    const kinds = Object.values(PACKET);
    expect(new Set(kinds).size).toBe(kinds.length);
  });

  it('a packet holds the longest frame, and no longer one', () => {
    const packets: number[] = [];
    const decoder = new PacketDecoder((packet) => packets.push(packet.length), PACKET_LIMIT);
    decoder.push(dataHeader(LIMITS.frameBytes));
    decoder.push(new Uint8Array(LIMITS.frameBytes));
    expect(packets).toEqual([LIMITS.frameBytes + 1]);
    expect(() => decoder.push(dataHeader(LIMITS.frameBytes + 1))).toThrow(ProtocolError);
  });
});

describe('the preface', () => {
  it('the preface differs in its first byte from HTTP/2, from HTTP/1 requests and from TLS', () => {
    expect(PREFACE[0]).toBe('F'.charCodeAt(0));
    for (const other of ['PRI', 'GET', 'POST', 'OPTIONS', 'HEAD', '\x16']) {
      expect(PREFACE[0]).not.toBe(other.charCodeAt(0));
    }
  });
});

describe('counts', () => {
  it('counts come back unchanged from any place in a buffer', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.nat(9), (count, offset) => {
        const [packet] = decode(encodeCount(PACKET.ack, count));
        const buffer = new Uint8Array(32);
        buffer.set((packet as number[]).slice(1), offset);
        expect(decodeCount(buffer.subarray(offset, offset + 8))).toBe(count);
      }),
    );
  });

  it('counts of another length, or too large for a number, are refused', () => {
    for (const length of [0, 7, 9]) expect(() => decodeCount(new Uint8Array(length))).toThrow(ProtocolError);
    expect(() => decodeCount(new Uint8Array(8).fill(255))).toThrow(ProtocolError);
    expect(() => decodeCount(Uint8Array.of(0, 0, 0, 0, 0, 0, 32, 0))).toThrow(ProtocolError);
  });
});

describe('objects', () => {
  it('objects come back as they were', () => {
    const value = { text: 'Grüße', number: 7, list: ['a'], nothing: null };
    const [packet] = decode(encodeObject(PACKET.hello, value));
    expect(decodeObject(Uint8Array.from(packet as number[]).subarray(1))).toEqual(value);
  });

  it('malformed objects are refused', () => {
    for (const text of ['', 'null', '7', '"a"', 'true', '{', '{"a":']) {
      expect(() => decodeObject(new TextEncoder().encode(text))).toThrow(ProtocolError);
    }
  });

  it('objects made of random bytes decode or are refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          expect(typeof decodeObject(bytes)).toBe('object');
        } catch (error) {
          expect(error).toBeInstanceOf(ProtocolError);
        }
      }),
    );
  });
});
