import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { writeFrame } from '#farlight/link/write-frame.js';
import { FrameDecoder, PIPE_FRAME_LIMIT } from '#farlight/proto/wire/framing.js';

/** The pieces that the pipe is given for frames of these lengths. */
function pieces(...lengths: number[]): Uint8Array[] {
  const pipe = new PassThrough({ highWaterMark: 1 << 20 });
  for (const length of lengths) {
    writeFrame(
      pipe,
      Uint8Array.from({ length }, (_, at) => at % 251),
    );
  }
  const written: Uint8Array[] = [];
  for (let piece = pipe.read(); piece; piece = pipe.read()) written.push(piece);
  return written;
}

function decoded(written: Uint8Array[]): number[][] {
  const frames: number[][] = [];
  const decoder = new FrameDecoder((frame) => frames.push([...frame]));
  for (const piece of written) decoder.push(piece);
  return frames;
}

describe('a frame that is written to a pipe', () => {
  it('arrives as it was, whatever its length', () => {
    const lengths = [0, 1, 9, 4095, 4096, 4097, 300_000];
    const sent = lengths.map((length) => Array.from({ length }, (_, at) => at % 251));
    expect(decoded(pieces(...lengths))).toEqual(sent);
  });

  it('goes in one write with its header where it is short', () => {
    const writes: number[] = [];
    const pipe = new PassThrough();
    pipe._write = (piece: Uint8Array, _encoding, done) => {
      writes.push(piece.length);
      done();
    };
    writeFrame(pipe, new Uint8Array(9));
    expect(writes).toEqual([13]);
  });

  it('is not copied where it is long', () => {
    const frame = new Uint8Array(100_000);
    const buffers: unknown[] = [];
    const pipe = new PassThrough();
    pipe._writev = (chunks, done) => {
      for (const { chunk } of chunks) buffers.push(chunk.buffer);
      done();
    };
    writeFrame(pipe, frame);
    expect(buffers[1]).toBe(frame.buffer);
  });

  it('tells whether the pipe wants its writer to wait', () => {
    expect(writeFrame(new PassThrough({ highWaterMark: 100 }), new Uint8Array(9))).toBe(true);
    expect(writeFrame(new PassThrough({ highWaterMark: 10 }), new Uint8Array(9))).toBe(false);
    expect(writeFrame(new PassThrough({ highWaterMark: 10 }), new Uint8Array(9000))).toBe(false);
  });

  it('is refused where it is longer than a pipe carries', () => {
    expect(() => writeFrame(new PassThrough(), new Uint8Array(PIPE_FRAME_LIMIT + 1))).toThrow(RangeError);
  });
});
