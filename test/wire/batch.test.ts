import { describe, expect, it } from 'vitest';
import { ProtocolError } from '#farlight/proto/errors.js';
import { BATCH_HEADROOM, BatchAssembler, cutBatch } from '#farlight/proto/wire/batch.js';

function batch(length: number): Uint8Array {
  const bytes = new Uint8Array(BATCH_HEADROOM + length);
  for (let at = BATCH_HEADROOM; at < bytes.length; at += 1) bytes[at] = at * 31;
  return bytes;
}

describe('a batch', () => {
  it.each([0, 1, 63, 64, 65, 500, 4096])(
    'of %d bytes comes back whole from frames of at most 64',
    (length) => {
      const whole = batch(length);
      const content = whole.slice(BATCH_HEADROOM);
      const assembler = new BatchAssembler();
      const frames = [...cutBatch(whole, 64)];
      expect(frames.every((frame) => frame.length <= 64)).toBe(true);
      const results = frames.map((frame) => assembler.push(frame));
      expect(results.slice(0, -1).every((result) => result === undefined)).toBe(true);
      expect(results.at(-1)).toEqual(content);
    },
  );

  it('that fits one frame is framed in place', () => {
    const whole = batch(10);
    expect([...cutBatch(whole)][0]?.buffer).toBe(whole.buffer);
  });

  it('is followed by the next', () => {
    const assembler = new BatchAssembler();
    for (const length of [200, 3, 200]) {
      const results = [...cutBatch(batch(length), 64)].map((frame) => assembler.push(frame));
      expect(results.at(-1)?.length).toBe(length);
    }
  });
});

describe('a hostile frame is refused', () => {
  const first = (total: bigint, ...bytes: number[]) => {
    const frame = new Uint8Array(9 + bytes.length);
    frame[0] = 1;
    new DataView(frame.buffer).setBigUint64(1, total, true);
    frame.set(bytes, 9);
    return frame;
  };

  it.each([
    ['empty', [new Uint8Array(0)]],
    ['of an unknown kind', [new Uint8Array([9, 1])]],
    ['a further part without a first', [new Uint8Array([2, 1])]],
    ['a first part without its length', [new Uint8Array([1, 0, 0])]],
    ['a first part over the limit', [first(2n ** 40n, 1)]],
    ['a part beyond the announced length', [first(2n, 1, 2, 3)]],
    ['a part that adds nothing', [first(2n, 1), new Uint8Array([2])]],
    ['a whole batch in the middle of another', [first(2n, 1), new Uint8Array([0, 1])]],
    ['a first part in the middle of another', [first(2n, 1), first(2n, 1)]],
  ])('%s', (_name, frames) => {
    const assembler = new BatchAssembler();
    expect(() => frames.forEach((frame) => void assembler.push(frame))).toThrow(ProtocolError);
  });
});
