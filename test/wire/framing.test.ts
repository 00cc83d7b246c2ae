import { describe, expect, it } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { FrameDecoder, frameHeader, PIPE_FRAME_LIMIT } from '#farlight/proto/wire/framing.js';

function encode(...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat(frames.flatMap((frame) => [frameHeader(frame.length), frame]));
}

function collect(limit?: number): { decoder: FrameDecoder; frames: number[][] } {
  const frames: number[][] = [];
  return { decoder: new FrameDecoder((frame) => frames.push([...frame]), limit), frames };
}

describe('frames on a pipe', () => {
  const sent = [[1, 2, 3], [], [4], Array.from({ length: 300 }, (_, i) => i & 255), []];
  const bytes = encode(...sent.map((frame) => Uint8Array.from(frame)));

  it('arrive whole and in order, in whatever pieces the bytes come', () => {
    for (const size of [1, 2, 3, 5, 7, 64, bytes.length]) {
      const { decoder, frames } = collect();
      for (let at = 0; at < bytes.length; at += size) decoder.push(bytes.slice(at, at + size));
      expect(frames).toEqual(sent);
      expect(decoder.atBoundary).toBe(true);
    }
  });

  it('that are empty arrive as soon as their header is complete', () => {
    const { decoder, frames } = collect();
    decoder.push(Uint8Array.from([0, 0, 0]));
    expect(frames).toEqual([]);
    decoder.push(Uint8Array.from([0]));
    expect(frames).toEqual([[]]);
  });

  it('that lie in one piece are handed on without a copy', () => {
    let received: Uint8Array | undefined;
    const piece = encode(Uint8Array.from([9, 8, 7]));
    new FrameDecoder((frame) => {
      received = frame;
    }).push(piece);
    expect(received?.buffer).toBe(piece.buffer);
  });

  it('that were cut off are told from a stream that ends between frames', () => {
    const { decoder, frames } = collect();
    decoder.push(bytes.slice(0, 5));
    expect(decoder.atBoundary).toBe(false);
    expect(frames).toEqual([]);
  });

  it('longer than the limit are refused at the header, before anything is kept for them', () => {
    const { decoder } = collect(8);
    expect(() => decoder.push(Uint8Array.from([9, 0, 0, 0]))).toThrow(ProtocolError);
    expect(() => collect().decoder.push(Uint8Array.from([255, 255, 255, 255]))).toThrow(ProtocolError);
  });

  it('as long as the limit pass', () => {
    const { decoder, frames } = collect(8);
    decoder.push(encode(new Uint8Array(8)));
    expect(frames).toHaveLength(1);
  });

  it('longer than the limit cannot be sent', () => {
    expect(() => frameHeader(PIPE_FRAME_LIMIT + 1)).toThrow(RangeError);
    expect([...frameHeader(PIPE_FRAME_LIMIT)]).toEqual([0, 0, 0, 4]);
  });

  it('keep arriving after a receiver threw', () => {
    const seen: number[] = [];
    const decoder = new FrameDecoder((frame) => {
      seen.push(frame.length);
      if (frame.length === 1) throw new Error('receiver');
    });
    expect(() => decoder.push(encode(new Uint8Array(1)))).toThrow('receiver');
    decoder.push(encode(new Uint8Array(2)));
    expect(seen).toEqual([1, 2]);
  });
});
