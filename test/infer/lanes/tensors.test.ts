import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { declarationOf, fromOrt, toOrt } from '#farlight/infer/lanes/tensor-conversion.js';
import { coversAll, joinRows, splitRows } from '#farlight/infer/lanes/tensor-rows.js';
import { DATATYPES, ELEMENT_BYTES, elements, type Tensor } from '#farlight/infer/service/tensor.js';

/** A tensor of any datatype and shape. */
const tensors = fc
  .record({
    datatype: fc.constantFrom(...DATATYPES),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 3 }),
  })
  .chain(({ datatype, shape }) => {
    const size = shape.reduce((product, length) => product * length, 1);
    const bytes = ELEMENT_BYTES[datatype];
    const exactly = (length: number) => ({ minLength: length, maxLength: length });
    const data: fc.Arbitrary<Tensor['data']> =
      bytes === undefined
        ? fc.array(fc.string({ unit: 'binary' }).map(encoded), exactly(size))
        : fc.uint8Array(exactly(size * bytes));
    return data.map((data): Tensor => ({ name: 'x', datatype, shape, data }));
  });

function encoded(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The same with plain bytes, for comparison. */
const plain = ({ data, ...rest }: Tensor) => ({
  ...rest,
  data: data instanceof Uint8Array ? [...data] : data.map((each) => [...each]),
});

describe('tensors of a run', () => {
  it('tensors are the same after they were split into parts and joined again', () => {
    fc.assert(
      fc.property(tensors, fc.array(fc.nat(3)), (tensor, wanted) => {
        const rows = tensor.shape[0] as number;
        const counts: number[] = [];
        let left = rows;
        for (const count of wanted) {
          counts.push(Math.min(count, left));
          left -= Math.min(count, left);
        }
        const parts = splitRows(tensor, [...counts, left]);
        expect(parts.map(({ shape }) => shape[0])).toEqual([...counts, left]);
        const joined = joinRows(
          'x',
          parts.map((value) => ({ value, from: 0, count: value.shape[0] as number })),
        );
        expect(plain(joined)).toEqual(plain(tensor));
      }),
    );
  });

  it('tensors are the same after ONNX Runtime had them', () => {
    fc.assert(
      fc.property(tensors, (tensor) => {
        expect(plain(fromOrt('x', toOrt(tensor)))).toEqual(plain(tensor));
      }),
    );
  });

  it('joined tensors have memory of their own', () => {
    const data = new Uint8Array(8).fill(1);
    const value: Tensor = { name: 'x', datatype: 'UINT8', shape: [8], data };
    const joined = joinRows('x', [{ value, from: 0, count: 8 }]);
    data.fill(2);
    expect(joined.data).toEqual(new Uint8Array(8).fill(1));
  });

  it('tensors are read at any address', () => {
    const bytes = new Uint8Array(9);
    bytes.set([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40], 1);
    expect(elements('FP32', bytes.subarray(1))).toEqual(Float32Array.of(1, 2));
  });

  it('tensors that do not fit together, or that models cannot have, are refused', () => {
    const tensor = (shape: number[]): Tensor => ({
      name: 'x',
      datatype: 'UINT8',
      shape,
      data: new Uint8Array(6),
    });
    const rows = (value: Tensor) => ({ value, from: 0, count: value.shape[0] as number });
    expect(() => joinRows('x', [rows(tensor([2, 3])), rows(tensor([3, 2]))])).toThrow(
      'The parts of input "x" do not fit together: UINT8[2,3] and UINT8[3,2].',
    );
    expect(() => joinRows('x', [rows(tensor([7]))])).toThrow(
      'Input "x" has not the 7 elements of its shape [7].',
    );
    expect(() => joinRows('x', [{ value: tensor([6]), from: 5, count: 2 }])).toThrow(
      'Input "x" has no rows 5 to 7: its shape is [6].',
    );
    expect(() => splitRows(tensor([6]), [2, 3])).toThrow(
      'Output "x" has the shape [6] for 5 items: they cannot be told apart.',
    );
    expect(() => toOrt({ name: 'x', datatype: 'BYTES', shape: [1], data: [Uint8Array.of(0xff)] })).toThrow(
      'An element of "x" is not UTF-8: of BYTES, models take text only.',
    );
    expect(() => fromOrt('x', { type: 'int4', data: new Uint8Array(1), dims: [2] })).toThrow(
      '"x" is of the type int4, which clients cannot send or get.',
    );
  });

  it('rows are whole if they are all rows of a tensor; a scalar is one row', () => {
    expect(coversAll([3, 2], { from: 0, count: 3 })).toBe(true);
    expect(coversAll([3, 2], { from: 0, count: 2 })).toBe(false);
    expect(coversAll([], { from: 0, count: 1 })).toBe(true);
  });

  it('a dimension that ONNX Runtime has as 4294967295, a name or -1 is free', () => {
    const shape = [1, 4_294_967_295, 'batch', -1];
    const declared = declarationOf({ name: 'x', isTensor: true, type: 'float32', shape });
    expect(declared.shape).toEqual([1, -1, -1, -1]);
  });
});
