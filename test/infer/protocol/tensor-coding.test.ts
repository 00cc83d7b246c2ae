import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  RoundedInteger,
  tensorFromBinary,
  tensorFromJson,
  tensorHead,
  tensorToBinary,
  tensorToJson,
} from '#farlight/infer/protocol/tensor-coding.js';
import { DATATYPES, type Datatype, ELEMENT_BYTES, type Tensor } from '#farlight/infer/service/tensor.js';
import { halfOf, numberOfHalf } from '#farlight/proto/half.js';

const head = (datatype: Datatype, shape: readonly number[]) => tensorHead('x', datatype, [...shape]);
const bytesOf = ({ data }: Tensor): Uint8Array => {
  if (!(data instanceof Uint8Array)) throw new Error('BYTES');
  return data;
};

/** A tensor with any bits, but NaN has one form in JSON. */
const tensors: fc.Arbitrary<Tensor> = fc
  .record({
    datatype: fc.constantFrom(...DATATYPES),
    shape: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
  })
  .chain(({ datatype, shape }): fc.Arbitrary<Tensor> => {
    const count = shape.reduce((product, each) => product * each, 1);
    if (datatype === 'BYTES') {
      return fc.array(fc.string({ unit: 'binary' }), { minLength: count, maxLength: count }).map((data) => ({
        name: 'x',
        datatype,
        shape,
        data: data.map((each) => new TextEncoder().encode(each)),
      }));
    }
    const size = count * (ELEMENT_BYTES[datatype] ?? 0);
    const bits = fc.uint8Array({ minLength: size, maxLength: size });
    return bits.map((data) => {
      const bytes = new Uint8Array(datatype === 'BOOL' ? data.map((each) => each & 1) : data);
      if (datatype === 'FP32') oneNaN(new Float32Array(bytes.buffer));
      if (datatype === 'FP64') oneNaN(new Float64Array(bytes.buffer));
      if (datatype === 'FP16') {
        const halves = new Uint16Array(bytes.buffer);
        for (const [at, each] of halves.entries()) if (Number.isNaN(numberOfHalf(each))) halves[at] = 0x7e00;
      }
      return { name: 'x', datatype, shape, data: bytes };
    });
  });

function oneNaN(floats: Float32Array | Float64Array): void {
  for (const [at, each] of floats.entries()) if (Number.isNaN(each)) floats[at] = Number.NaN;
}

describe('tensors as binary data', () => {
  it('any tensor that is written is read again, bit by bit, wherever its bytes lie', () => {
    fc.assert(
      fc.property(tensors, fc.nat(7), (tensor, offset) => {
        const written = tensorToBinary(tensor);
        // Within a body a tensor begins anywhere.
        const body = Buffer.concat([Buffer.alloc(offset), written]).subarray(offset);
        const read = tensorFromBinary(tensor, body);
        expect(read).toEqual(tensor);
        if (read.data instanceof Uint8Array) expect(read.data.buffer).toBe(body.buffer);
      }),
    );
  });

  it.each<[string, Datatype, number[], Uint8Array, RegExp]>([
    [
      'too few bytes',
      'INT32',
      [2, 2],
      new Uint8Array(15),
      /has 15 bytes, and its shape \[2,2\] of INT32 needs 16$/,
    ],
    ['too many bytes', 'FP16', [1], new Uint8Array(3), /has 3 bytes, .* needs 2$/],
    ['a BOOL that is neither 0 nor 1', 'BOOL', [2], Uint8Array.of(1, 2), /neither 0 nor 1/],
    [
      'a length without its element',
      'BYTES',
      [1],
      Uint8Array.of(5, 0, 0, 0, 1),
      /ends within its element 0$/,
    ],
    ['half of a length', 'BYTES', [1], Uint8Array.of(5, 0), /ends within a length$/],
    ['too few elements', 'BYTES', [2], Uint8Array.of(0, 0, 0, 0), /has 1 of the 2 elements/],
    ['too many elements', 'BYTES', [1], new Uint8Array(8), /has more than the 1 elements/],
    ['a length of 4 GiB', 'BYTES', [1], Uint8Array.of(255, 255, 255, 255), /ends within its element 0$/],
  ])('rejects %s with one sentence', (_, datatype, shape, bytes, sentence) => {
    expect(() => tensorFromBinary(head(datatype, shape), bytes)).toThrow(sentence);
  });
});

describe('shapes', () => {
  it.each<[string, unknown, RegExp]>([
    ['a negative dimension', [1, -1], /has the dimension -1; each is a whole number from 0/],
    ['a fraction', [1.5], /has the dimension 1.5/],
    ['a text', ['1'], /has the dimension "1"/],
    ['no array', 16, /needs a shape, for example/],
    ['a dimension beyond 2^31', [2 ** 31], /has the dimension 2147483648/],
    ['33 dimensions', Array(33).fill(1), /has 33 dimensions; at most 32/],
    ['an array within', [[1]], /has the dimension of an array/],
  ])('rejects %s', (_, shape, sentence) => {
    expect(() => tensorHead('x', 'INT8', shape)).toThrow(sentence);
  });

  it('rejects a shape whose product overflows, before it allocates anything', () => {
    const huge = head('FP32', [2 ** 30, 2 ** 30, 2 ** 30]);
    expect(() => tensorFromBinary(huge, new Uint8Array(4))).toThrow(
      /more elements than any machine can hold/,
    );
    expect(() => tensorFromJson(huge, [1])).toThrow(/more elements than any machine can hold/);
    expect(() => tensorFromJson(head('FP64', [2 ** 31 - 1, 2 ** 20]), [1])).toThrow(
      /has 1 elements, .* needs/,
    );
    expect(() => tensorFromBinary(head('BYTES', [2 ** 21]), new Uint8Array(2 ** 23))).toThrow(
      /at most 1048576/,
    );
  });

  it('rejects a datatype that the protocol does not have, and names those that it has', () => {
    expect(() => tensorHead('x', 'BF16', [1])).toThrow(/the datatype "BF16"; there are BOOL, INT8/);
    expect(() => tensorHead('x', { toString: 1 }, [1])).toThrow(/the datatype of an object/);
    expect(() => tensorHead('', 'INT8', [1])).toThrow(/needs a name/);
  });
});

describe('tensors in JSON', () => {
  it('any tensor that is written is read again, bit by bit', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        // A number beyond 2^53 reaches the reader as a string: `readJson` sees to it.
        const json = tensorToJson(tensor).replace(/-?\d{16,}(?=[,\]])/g, (digits) =>
          tensor.datatype.endsWith('INT64') ? `"${digits}"` : digits,
        );
        expect(tensorFromJson(tensor, JSON.parse(json))).toEqual(tensor);
      }),
    );
  });

  it('elements in JSON may be nested as the shape says', () => {
    const nested = [
      [[1], [2]],
      [[3], [4]],
      [[5], [6]],
    ];
    const tensor = tensorFromJson(head('INT16', [3, 2, 1]), nested);
    expect([...new Int16Array(bytesOf(tensor).buffer)]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(() => tensorFromJson(head('INT16', [2, 3, 1]), nested)).toThrow(/nested otherwise than its shape/);
    expect(() => tensorFromJson(head('INT16', [3, 2, 1]), [[[1], [2]], [[3]], [[5], [6]]])).toThrow(
      /nested otherwise/,
    );
  });

  it.each<[Datatype, unknown]>([
    ['INT8', 128],
    ['UINT8', -1],
    ['INT32', 1.5],
    ['INT32', '1'],
    ['UINT32', 2 ** 32],
    ['INT64', 'x'],
    ['INT64', `${2n ** 63n}`],
    ['UINT64', -1],
    ['UINT64', '-1'],
    ['FP32', 1e39],
    ['FP32', '1'],
    ['FP16', 65_520],
    ['BOOL', 2],
    ['BOOL', null],
    ['BYTES', 1],
    ['FP64', [1]],
  ])('rejects an element of %s that is %j', (datatype, value) => {
    expect(() => tensorFromJson(head(datatype, [1]), [value])).toThrow(`is ${datatype}, and has the element`);
  });

  it('an integer beyond 2^53 is never rounded in silence', () => {
    expect(() => tensorFromJson(head('INT64', [1]), [2 ** 53])).toThrow(RoundedInteger);
    const exact = tensorFromJson(head('INT64', [2]), ['9007199254740993', -5]);
    expect([...new BigInt64Array(bytesOf(exact).buffer)]).toEqual([9007199254740993n, -5n]);
    expect(tensorToJson(exact)).toBe('[9007199254740993,-5]');
  });

  it('bytes that are no UTF-8 are never written to JSON', () => {
    const tensor: Tensor = { name: 'y', datatype: 'BYTES', shape: [1], data: [Uint8Array.of(0xff)] };
    expect(() => tensorToJson(tensor)).toThrow(/are no UTF-8, .* ask for it with "binary_data": true/);
  });
});

describe('numbers of 16 bits', () => {
  it('each half is the nearest one to itself', () => {
    const others = Array.from({ length: 0x10000 }, (_, bits) => bits)
      .filter((bits) => !Number.isNaN(numberOfHalf(bits)))
      .filter((bits) => halfOf(numberOfHalf(bits)) !== bits);
    expect(others).toEqual([]);
    expect(halfOf(Number.NaN)).toBe(0x7e00);
  });

  it('any number becomes a half that no other is nearer to', () => {
    fc.assert(
      fc.property(fc.double({ min: -65_519, max: 65_519, noNaN: true }), (value) => {
        const bits = halfOf(value);
        const distance = Math.abs(numberOfHalf(bits) - value);
        for (const other of [bits - 1, bits + 1]) {
          if ((other & 0x7fff) <= 0x7bff && other >= 0)
            expect(Math.abs(numberOfHalf(other) - value)).toBeGreaterThanOrEqual(distance);
        }
      }),
    );
    expect(halfOf(65_519)).toBe(0x7bff);
    expect(halfOf(65_520)).toBe(0x7c00);
    expect(halfOf(1 + 2 ** -11)).toBe(halfOf(1));
  });
});
