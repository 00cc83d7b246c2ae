import { describe, expect, it } from 'vitest';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { PREFACE } from '#farlight/proto/wire/packet.js';

/** The length in front of a packet. */
const lengthHeader = (length: number) => new Uint8Array(Uint32Array.of(length).buffer);

function encode(...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat(frames.flatMap((frame) => [lengthHeader(frame.length), frame]));
}

const LIMIT = 1 << 20;

function collect(limit = LIMIT): { decoder: PacketDecoder; frames: number[][] } {
  const frames: number[][] = [];
  return { decoder: new PacketDecoder((frame) => frames.push([...frame]), limit), frames };
}

describe('frames of a stream', () => {
  const sent = [[1, 2, 3], [], [4], Array.from({ length: 300 }, (_, i) => i & 255), []];
  const bytes = encode(...sent.map((frame) => Uint8Array.from(frame)));

  it('frames arrive whole and in order, in whatever pieces the bytes come', () => {
    for (const size of [1, 2, 3, 5, 7, 64, bytes.length]) {
      const { decoder, frames } = collect();
      for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.slice(at, at + size));
      expect(frames).toEqual(sent);
      expect(decoder.atBoundary).toBe(true);
    }
  });

  it('empty frames arrive as soon as their header is complete', () => {
    const { decoder, frames } = collect();
    decoder.push(Uint8Array.from([0, 0, 0]));
    expect(frames).toEqual([]);
    decoder.push(Uint8Array.from([0]));
    expect(frames).toEqual([[]]);
  });

  it('frames do not change when their pieces are overwritten later', () => {
    for (const size of [5, 64, bytes.length]) {
      const received: Uint8Array[] = [];
      const decoder = new PacketDecoder((packet) => received.push(packet), LIMIT);
      for (let at = 0; at < bytes.length; at += size) {
        const piece = Uint8Array.from(bytes.subarray(at, at + size));
        decoder.push(piece);
        piece.fill(0xee);
      }
      expect(received.map((packet) => [...packet])).toEqual(sent);
    }
  });

  it('a stream that ends within a frame is told from one that ends between frames', () => {
    const { decoder, frames } = collect();
    decoder.push(bytes.slice(0, 5));
    expect(decoder.atBoundary).toBe(false);
    expect(frames).toEqual([]);
  });

  it('frames longer than the limit are refused at the header, before anything is kept for them', () => {
    const { decoder } = collect(8);
    expect(() => decoder.push(Uint8Array.from([9, 0, 0, 0]))).toThrow(ProtocolError);
    expect(() => collect().decoder.push(Uint8Array.from([255, 255, 255, 255]))).toThrow(ProtocolError);
  });

  it('frames as long as the limit pass', () => {
    const { decoder, frames } = collect(8);
    decoder.push(encode(new Uint8Array(8)));
    expect(frames).toHaveLength(1);
  });

  it('frames keep arriving after a receiver threw', () => {
    const seen: number[] = [];
    const decoder = new PacketDecoder((frame) => {
      seen.push(frame.length);
      if (frame.length === 1) throw new Error('receiver');
    }, LIMIT);
    expect(() => decoder.push(encode(new Uint8Array(1)))).toThrow('receiver');
    decoder.push(encode(new Uint8Array(2)));
    expect(seen).toEqual([1, 2]);
  });
});

describe('the preface', () => {
  const packet = encode(Uint8Array.of(7));

  it('the preface may come in any pieces, with packets behind it in the last', () => {
    for (let at = 1; at < PREFACE.length; at += 1) {
      const log: string[] = [];
      const decoder = new PacketDecoder(
        ([first]) => log.push(`${first}`),
        LIMIT,
        () => log.push('preface'),
      );
      decoder.push(PREFACE.slice(0, at));
      expect(log).toEqual([]);
      decoder.push(Uint8Array.of(...PREFACE.slice(at), ...packet));
      expect(log).toEqual(['preface', '7']);
    }
  });

  it('a wrong preface is refused at its first wrong byte', () => {
    const decoder = new PacketDecoder(
      () => {},
      LIMIT,
      () => {},
    );
    decoder.push(PREFACE.slice(0, 3));
    expect(() => decoder.push(Uint8Array.of(0))).toThrow(new ProtocolError('no preface'));
  });
});

/** Reads a stream as a socket does: into the decoder's room, as much as fits and at most `most` bytes at once. */
function read(stream: Uint8Array, decoder: PacketDecoder, most: number): number[] {
  const reads: number[] = [];
  for (let at = 0; at < stream.length; ) {
    const room = decoder.room();
    const part = stream.subarray(at, at + Math.min(room.length, most));
    room.set(part);
    decoder.push(room.subarray(0, part.length));
    reads.push(part.length);
    at += part.length;
  }
  return reads;
}

describe("frames that are read into the decoder's room", () => {
  const lengths = [3, 0, 100_000, 20_000, 70_000, 1, 16_384, 16_385, 500_000];
  const sent = lengths.map((length, index) => new Uint8Array(length).map((_, at) => (at * 7 + index) & 255));
  const stream = encode(...sent);

  it('frames that are read into the room arrive whole and in order, however much is read at once', () => {
    for (const most of [1000, 4096, 16_384, 65_536, stream.length]) {
      const frames: Uint8Array[] = [];
      read(stream, new PacketDecoder((frame) => frames.push(frame), LIMIT), most);
      // Looked at when all have come: none of them lies where the next one was read.
      expect(frames.map((frame) => Buffer.compare(frame, sent[frames.indexOf(frame)] as Uint8Array))).toEqual(
        lengths.map(() => 0),
      );
    }
  });

  it('long frames are read to where they stay, beyond the bytes that came with the frame before', () => {
    const reads = read(encode(new Uint8Array(LIMIT)), new PacketDecoder(() => {}, LIMIT), LIMIT);
    expect(reads).toEqual([65_536, LIMIT + 4 - 65_536]);
  });

  it('frames that are read into the room share memory with no other', () => {
    const frames: Uint8Array[] = [];
    read(stream, new PacketDecoder((frame) => frames.push(frame), LIMIT), stream.length);
    expect(new Set(frames.map(({ buffer }) => buffer)).size).toBe(frames.length);
  });
});
