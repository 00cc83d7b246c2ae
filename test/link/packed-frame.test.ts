import { brotliCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { packFrame, unpackFrame } from '#farlight/link/channel/packed-frame.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';

/** A body that announces `length` bytes. */
function body(length: number, packed: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + packed.length);
  new DataView(bytes.buffer).setUint32(0, length, true);
  bytes.set(packed, 4);
  return bytes;
}

describe('a packed frame', () => {
  it('a packed frame comes out as it went in, whatever it holds', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 5000 }), (frame) => {
        expect(unpackFrame(packFrame(frame))).toEqual(frame);
      }),
    );
  });

  it('an unpacked frame may be as long as any frame, and has memory of its own', () => {
    const frame = new Uint8Array(LIMITS.frameBytes).map((_byte, index) => (index >> 9) ^ index);
    const unpacked = unpackFrame(packFrame(frame));
    expect(Buffer.compare(unpacked, frame)).toBe(0);
    expect(unpacked.buffer.byteLength).toBe(frame.length);
  });

  it.each([
    ['longer than a frame may be', body(LIMITS.frameBytes + 1, brotliCompressSync(new Uint8Array(2 << 20)))],
    ['longer than it announces', body(1000, brotliCompressSync(new Uint8Array(8 << 20)))],
    ['shorter than it announces', body(1000, brotliCompressSync(new Uint8Array(999)))],
    ['empty', body(0, brotliCompressSync(new Uint8Array(0)))],
    ['without a stream', body(1000, new Uint8Array(0))],
    ['without a length', Uint8Array.from([1, 0])],
    [
      'cut off',
      body(5000, brotliCompressSync(Buffer.from('frame '.repeat(900)).subarray(0, 5000)).subarray(0, -2)),
    ],
    [
      'followed by something',
      body(1000, Buffer.concat([brotliCompressSync(new Uint8Array(1000)), Buffer.alloc(9)])),
    ],
  ])('a packed frame that is %s is refused', (_name, bytes) => {
    expect(() => unpackFrame(bytes)).toThrow(ProtocolError);
  });

  it('a packed frame of garbage is refused, or is as long as it announces', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 0, max: 3000 }), (garbage, length) => {
        try {
          expect(unpackFrame(body(length, garbage)).length).toBe(length);
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }),
    );
  });
});
