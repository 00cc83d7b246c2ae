import { describe, expect, it } from 'vitest';
import { type ContentName, toContentName } from '#farlight/proto/content/content.js';
import { ContentFilter, FILTER_BYTES, FILTER_NAMES } from '#farlight/proto/content/content-filter.js';
import { ProtocolError } from '#farlight/proto/errors.js';

/** Uniformly random names, the same in each run (xorshift32). Each is overwritten by the next. */
function randomNames(seed: number): () => ContentName {
  const words = new Uint32Array(8);
  const name = toContentName(new Uint8Array(words.buffer));
  let state = seed;
  return () => {
    for (let at = 0; at < 8; at += 1) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[at] = state;
    }
    return name;
  };
}

function take(count: number, seed: number): ContentName[] {
  const next = randomNames(seed);
  return Array.from({ length: count }, () => toContentName(next().slice()));
}

/** The name whose first 34 bits are `value`. */
function nameOf(value: number): ContentName {
  const name = new Uint8Array(32);
  for (let at = 0, rest = value * 2 ** 6; at < 5; at += 1) {
    name[4 - at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return toContentName(name);
}

const throughTheWire = (names: ContentName[]) => ContentFilter.decode(ContentFilter.of(names).encode());

describe('a content filter', () => {
  it.each([0, 1, 2, 100, 10_000, FILTER_NAMES])(
    'a content filter of %d names misses none of them',
    (count) => {
      const names = take(count, 7);
      const filter = throughTheWire(names);
      expect(names.filter((name) => !filter.mayHold(name))).toEqual([]);
    },
  );

  it('a full content filter accepts another name once in 2^20 times', () => {
    const filter = throughTheWire(take(FILTER_NAMES, 7));
    const strange = randomNames(99);
    let mistakes = 0;
    for (let query = 0; query < 2 ** 21; query += 1) mistakes += Number(filter.mayHold(strange()));
    // The expected number is 2. One seed in 20,000 gives more than 9.
    expect(mistakes).toBeLessThan(10);
  }, 60_000);

  it('tells names apart by their first 34 bits', () => {
    const filter = throughTheWire([0, 5, 2 ** 33, 2 ** 34 - 1].map(nameOf));
    const held = [0, 1, 4, 5, 6, 2 ** 33 - 1, 2 ** 33, 2 ** 33 + 1, 2 ** 34 - 2, 2 ** 34 - 1];
    expect(held.filter((value) => filter.mayHold(nameOf(value)))).toEqual([0, 5, 2 ** 33, 2 ** 34 - 1]);
    const longer = nameOf(5);
    longer.fill(0xff, 5);
    expect(filter.mayHold(longer)).toBe(true);
  });

  it('a content filter without names accepts no name', () => {
    expect(ContentFilter.of([]).encode()).toHaveLength(0);
    expect(throughTheWire([]).mayHold(nameOf(0))).toBe(false);
  });

  it('a content filter holds a name once that was given twice', () => {
    const [name = nameOf(1)] = take(1, 3);
    expect(ContentFilter.of([name, name]).encode()).toEqual(ContentFilter.of([name]).encode());
  });

  it('keeps the first names if there are too many', () => {
    const names = take(FILTER_NAMES + 100, 7);
    const filter = throughTheWire(names);
    expect(names.map((name) => filter.mayHold(name))).toEqual(names.map((_name, at) => at < FILTER_NAMES));
  });

  it('a content filter of 10,000 names takes less than 33 KiB', () => {
    const { length } = ContentFilter.of(take(10_000, 7)).encode();
    expect(length).toBeGreaterThan(32_000);
    expect(length).toBeLessThan(33 * 1024);
  });

  it('a content filter is never larger than its limit', () => {
    // The names have the most differences of four bytes, and no difference of less than three.
    const long = 2 ** 13 - 65;
    let value = -1;
    const names = Array.from({ length: FILTER_NAMES }, (_, at) => {
      value += at < long ? 2 ** 21 : 2 ** 14;
      return nameOf(value);
    });
    const encoded = ContentFilter.of(names).encode();
    expect(encoded).toHaveLength(3 * FILTER_NAMES + long);
    expect(encoded.length).toBeLessThanOrEqual(FILTER_BYTES);
    expect(FILTER_BYTES).toBeLessThanOrEqual(64 * 1024);
    const filter = ContentFilter.decode(encoded);
    expect(names.every((name) => filter.mayHold(name))).toBe(true);
  });
});

describe('a hostile content filter is refused', () => {
  it.each<[string, number[]]>([
    ['cut off', [0x80]],
    ['cut off after others', [1, 2, 0xff]],
    ['with an entry of nothing', [1, 0]],
    ['with padding', [0x81, 0x00]],
    ['with an entry that never ends', Array(100).fill(0x80)],
    ['with an entry beyond the range', [0xff, 0xff, 0xff, 0xff, 0x7f]],
    ['whose entries lead beyond the range', [0x80, 0x80, 0x80, 0x80, 0x40, 1]],
    ['with too many names', Array(FILTER_NAMES + 1).fill(1)],
    ['with too many bytes', Array(FILTER_BYTES + 1).fill(1)],
  ])('%s', (_name, bytes) => {
    expect(() => ContentFilter.decode(new Uint8Array(bytes))).toThrow(ProtocolError);
  });

  it('unless it is exactly a filter that a host would send', () => {
    const next = randomNames(5);
    let accepted = 0;
    for (let round = 0; round < 10_000; round += 1) {
      const bytes = next().slice(0, (round % 8) + 1);
      let filter: ContentFilter;
      try {
        filter = ContentFilter.decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolError);
        continue;
      }
      accepted += 1;
      expect(filter.encode()).toEqual(bytes);
    }
    expect(accepted).toBeGreaterThan(500);
  });
});
