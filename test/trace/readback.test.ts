import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Readback } from '#farlight/cli/replay/readback.js';

/** Gives the bytes in pieces to one side or the other, as `order` tells. */
function compare(
  recorded: Uint8Array,
  replayed: Uint8Array,
  sizes: readonly number[],
  order: readonly boolean[],
) {
  const readback = new Readback();
  const at = { recorded: 0, replayed: 0 };
  const give = (side: 'recorded' | 'replayed', size: number) => {
    const bytes = side === 'recorded' ? recorded : replayed;
    readback[side](bytes.subarray(at[side], at[side] + size));
    at[side] = Math.min(bytes.length, at[side] + size);
  };
  for (const [index, isRecorded] of order.entries())
    give(isRecorded ? 'recorded' : 'replayed', sizes[index % sizes.length] as number);
  give('recorded', recorded.length);
  give('replayed', replayed.length);
  return readback;
}

const bytes = fc.uint8Array({ minLength: 1, maxLength: 300 });
const sizes = fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 8 });
const order = fc.array(fc.boolean(), { maxLength: 20 });

it('equal bytes compare as equal, in any pieces and order', () => {
  fc.assert(
    fc.property(bytes, sizes, order, (all, pieces, turns) => {
      const readback = compare(all, all, pieces, turns);
      expect([readback.difference, readback.lengths, readback.recordedAhead]).toEqual([
        undefined,
        { recorded: all.length, replayed: all.length },
        0,
      ]);
    }),
  );
});

it('reports the first different byte with both values, in any pieces and order', () => {
  const changes = fc.array(fc.nat(299), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(bytes, changes, sizes, order, (recorded, positions, pieces, turns) => {
      const replayed = recorded.slice();
      const changed = [...new Set(positions.map((position) => position % recorded.length))];
      for (const position of changed) replayed[position] = (replayed[position] as number) ^ 0x80;
      const offset = Math.min(...changed);
      expect(compare(recorded, replayed, pieces, turns).difference).toEqual({
        offset,
        recorded: recorded[offset],
        replayed: replayed[offset],
      });
    }),
  );
});
