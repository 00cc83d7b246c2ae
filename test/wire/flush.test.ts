import { describe, expect, it } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { FlushAssembler, FRAME } from '#farlight/proto/wire/flush.js';
import { Reader } from '#farlight/proto/wire/reader.js';
import { Writer } from '#farlight/proto/wire/writer.js';

const FRAME_BYTES = 160;

const pattern = (length: number) => new Uint8Array(length).map((_byte, at) => at * 31);

function assemble(assembler: FlushAssembler, frames: Uint8Array[]): Uint8Array | undefined {
  const results = frames.map((frame) => assembler.push(frame));
  expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true);
  return results.at(-1);
}

describe('a flush', () => {
  it.each([0, 1, 150, 157, 158, 159, 160, 161, 500, 5000])(
    'with %d bytes comes back whole from its frames',
    (length) => {
      const w = new Writer({ initialCapacity: 16, frameBytes: FRAME_BYTES });
      w.u8(7);
      w.bytes(pattern(length));
      w.string('end');
      const frames = w.take();
      expect(frames.every((frame) => frame.length <= FRAME_BYTES)).toBe(true);
      const r = new Reader(assemble(new FlushAssembler(), frames) ?? new Uint8Array(0));
      expect([r.u8(), r.bytes(), r.string(), r.done]).toEqual([7, pattern(length), 'end', true]);
    },
  );

  it('a flush of many small values comes back whole', () => {
    const w = new Writer({ initialCapacity: 16, frameBytes: FRAME_BYTES });
    for (let value = 0; value < 1000; value += 1) {
      w.u32(value * 9999);
      w.f64(value / 3);
    }
    const frames = w.take();
    expect(frames.length).toBeGreaterThan(10);
    const r = new Reader(assemble(new FlushAssembler(), frames) ?? new Uint8Array(0));
    for (let value = 0; value < 1000; value += 1)
      expect([r.u32(), r.f64()]).toEqual([value * 9999, value / 3]);
    expect(r.done).toBe(true);
  });

  it('a flush can follow another over the same assembler', () => {
    const assembler = new FlushAssembler();
    const w = new Writer({ frameBytes: FRAME_BYTES });
    for (const length of [500, 3, 500]) {
      w.bytes(pattern(length));
      const flush = assemble(assembler, w.take()) ?? new Uint8Array(0);
      expect(new Reader(flush).bytes()).toEqual(pattern(length));
    }
  });

  it.each([0, 5, 200, 700])(
    'a flush can be cut back to %d bytes of content, over any number of frames',
    (length) => {
      const w = new Writer({ initialCapacity: 16, frameBytes: FRAME_BYTES });
      for (let at = 0; at < length; at += 1) w.u8(at);
      expect(w.length).toBe(length);
      w.bytes(pattern(1000));
      w.truncate(length);
      expect(w.length).toBe(length);
      w.string('after');
      const r = new Reader(assemble(new FlushAssembler(), w.take()) ?? new Uint8Array(0));
      for (let at = 0; at < length; at += 1) expect(r.u8()).toBe(at % 256);
      expect([r.string(), r.done]).toEqual(['after', true]);
    },
  );
});

describe('a hostile frame is refused', () => {
  const frame = (kind: number, ...bytes: number[]) => new Uint8Array([kind, ...bytes]);

  it.each<[string, Uint8Array[]]>([
    ['empty', [new Uint8Array(0)]],
    ['of an unknown kind', [frame(9, 1)]],
    ['the last part without one before', [frame(FRAME.last, 1)]],
    ['a part that adds nothing', [frame(FRAME.part)]],
    ['a last part that adds nothing', [frame(FRAME.part, 1), frame(FRAME.last)]],
    ['a whole flush in the middle of another', [frame(FRAME.part, 1), frame(FRAME.whole, 1)]],
    ['parts over the limit', [frame(FRAME.part, 1, 2, 3), frame(FRAME.part, 4, 5)]],
  ])('%s', (_name, frames) => {
    const assembler = new FlushAssembler(4);
    expect(() => {
      for (const each of frames) assembler.push(each);
    }).toThrow(ProtocolError);
  });
});
