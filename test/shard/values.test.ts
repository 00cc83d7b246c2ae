import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrayOf, cut, place, sum, type Values } from '#farlight/shard/run/values.js';

const boxes = fc
  .array(fc.tuple(fc.nat(4), fc.nat(4), fc.nat(3)), { minLength: 0, maxLength: 4 })
  .map((axes) => ({
    dims: axes.map(([start, length, rest]) => start + length + rest),
    region: { start: axes.map(([start]) => start), end: axes.map(([start, length]) => start + length) },
  }));

const numbered = (dims: readonly number[], type = 'int32'): Values => {
  const size = dims.reduce((product, length) => product * length, 1);
  const numbers = Int32Array.from({ length: size }, (_, at) => at + 1);
  return { type, dims, data: new Uint8Array(numbers.buffer) };
};

test('a region that is cut has the elements of that region, and goes back to its place', () => {
  const property = fc.property(boxes, ({ dims, region }) => {
    const whole = numbered(dims);
    const part = cut(whole, region);
    const expected = [...numbersAt(dims)].filter(([place]) =>
      place.every((at, axis) => at >= (region.start[axis] ?? 0) && at < (region.end[axis] ?? 0)),
    );
    expect([...arrayOf('int32', part.data)]).toEqual(expected.map(([, number]) => number));
    expect(part.dims).toEqual(region.end.map((end, axis) => end - (region.start[axis] as number)));
    const empty: Values = { ...whole, data: new Uint8Array(whole.data.length) };
    place(empty, region, part.data);
    expect(cut(empty, region)).toEqual(part);
    const set = [...arrayOf('int32', empty.data)].filter((number) => number !== 0);
    expect(set).toHaveLength(expected.length);
  });
  fc.assert(property, { numRuns: 300 });
});

function* numbersAt(dims: readonly number[]): Generator<[number[], number]> {
  const size = dims.reduce((product, length) => product * length, 1);
  for (let index = 0; index < size; index += 1) {
    const at: number[] = [];
    let rest = index;
    for (const length of [...dims].reverse()) {
      at.unshift(rest % length);
      rest = Math.floor(rest / length);
    }
    yield [at, index + 1];
  }
}

const floats = (...numbers: number[]): Values => ({
  type: 'float32',
  dims: [numbers.length],
  data: new Uint8Array(Float32Array.from(numbers).buffer),
});
const halves = (...bits: number[]): Values => ({
  type: 'float16',
  dims: [bits.length],
  data: new Uint8Array(Uint16Array.from(bits).buffer),
});

test('terms are added in their order, each sum rounded to single precision', () => {
  const terms = [floats(1e8, 1), floats(1, 2), floats(-1e8, 3)];
  expect([...arrayOf('float32', sum(terms).data)]).toEqual([0, 6]);
  expect([...arrayOf('float32', terms[0]?.data as never)]).toEqual([1e8, 1]);
  expect(sum([floats(5)])).toEqual(floats(5));
});

test('whole numbers of 64 bits are added exactly', () => {
  const whole = (value: bigint): Values => ({
    type: 'int64',
    dims: [],
    data: new Uint8Array(BigInt64Array.of(value).buffer),
  });
  expect([...arrayOf('int64', sum([whole(2n ** 60n), whole(1n)]).data)]).toEqual([2n ** 60n + 1n]);
});

test('half precision is added as such', () => {
  // 1 + 1, 1 + 2^-11 (to even), the least number twice, the largest number twice, and infinity less infinity.
  const total = sum([halves(0x3c00, 0x3c00, 1, 0x7bff, 0x7c00), halves(0x3c00, 0x1000, 1, 0x7bff, 0xfc00)]);
  expect([...arrayOf('float16', total.data)]).toEqual([0x4000, 0x3c00, 2, 0x7c00, 0x7e00]);
});

test('every number of half precision plus zero is itself', () => {
  const finite = [...Array(0x10000).keys()].filter((bits) => (bits & 0x7c00) !== 0x7c00 && bits !== 0x8000);
  expect([...arrayOf('float16', sum([halves(...finite), halves(...finite.map(() => 0))]).data)]).toEqual(
    finite,
  );
});

test('tensors of text are refused', () => {
  expect(() => arrayOf('string', new Uint8Array())).toThrow(/type string cannot run over several hosts/);
});
