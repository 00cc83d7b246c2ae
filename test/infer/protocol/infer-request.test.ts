import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readInferRequest } from '#farlight/infer/grpc/infer-request.js';
import { inferenceDefinitions, SERVICE } from '#farlight/infer/grpc/inference-definitions.js';
import { type Datatype, ELEMENT_BYTES, type Tensor } from '#farlight/infer/service/tensor.js';

const { ModelInfer } = inferenceDefinitions()[SERVICE] as unknown as {
  ModelInfer: { requestSerialize(message: object): Buffer };
};
/** A message as the library for protobuf writes it. */
const encode = (message: object) => ModelInfer.requestSerialize(message);

/** The field of each datatype, its elements, and the class of typed array that has them. */
const CONTENTS = {
  BOOL: ['bool_contents', fc.boolean(), Uint8Array],
  INT8: ['int_contents', fc.integer({ min: -128, max: 127 }), Int8Array],
  INT16: ['int_contents', fc.integer({ min: -32_768, max: 32_767 }), Int16Array],
  INT32: ['int_contents', fc.integer(), Int32Array],
  INT64: ['int64_contents', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), BigInt64Array],
  UINT8: ['uint_contents', fc.integer({ min: 0, max: 255 }), Uint8Array],
  UINT16: ['uint_contents', fc.integer({ min: 0, max: 65_535 }), Uint16Array],
  UINT32: ['uint_contents', fc.integer({ min: 0, max: 2 ** 32 - 1 }), Uint32Array],
  UINT64: ['uint64_contents', fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), BigUint64Array],
  FP32: ['fp32_contents', fc.float({ noNaN: true }), Float32Array],
  FP64: ['fp64_contents', fc.double({ noNaN: true }), Float64Array],
} as const;

const typed = fc.constantFrom(...(Object.keys(CONTENTS) as (keyof typeof CONTENTS)[])).chain((datatype) => {
  const [field, element] = CONTENTS[datatype];
  const Class = CONTENTS[datatype][2] as unknown as Int32ArrayConstructor;
  return fc.array(element as fc.Arbitrary<unknown>, { maxLength: 20 }).map((elements) => {
    const array = Class.from(
      elements.map((each) => (typeof each === 'boolean' ? Number(each) : each)) as never,
    );
    return {
      input: {
        name: 'x',
        datatype,
        shape: [elements.length],
        contents: { [field]: elements.map((each) => (typeof each === 'bigint' ? `${each}` : each)) },
      },
      data: new Uint8Array(array.buffer),
    };
  });
});

describe('a ModelInferRequest', () => {
  it('a request with typed contents is read as the library for protobuf writes it', () => {
    fc.assert(
      fc.property(fc.array(typed, { maxLength: 4 }), (inputs) => {
        const bytes = encode({ model_name: 'm', inputs: inputs.map(({ input }) => input) });
        const { request, error } = readInferRequest(bytes);
        expect(error).toBeUndefined();
        expect(request?.inputs.map(({ data }) => data)).toEqual(inputs.map(({ data }) => data));
      }),
    );
  });

  it('the inputs of raw contents stay where they lie in the message', () => {
    const raw = [Buffer.from([1, 2, 3, 4]), Buffer.from([1, 0, 0, 0, 65])];
    const message = encode({
      model_name: 'm',
      model_version: '2',
      id: 'é',
      parameters: {
        priority: { int64_param: 3 },
        timeout: { uint64_param: 5000 },
        note: { string_param: 'n' },
        yes: { bool_param: true },
        half: { double_param: 0.5 },
        less: { int64_param: -1 },
      },
      inputs: [
        { name: 'a', datatype: 'FP16', shape: [2, 1] },
        { name: 'b', datatype: 'BYTES', shape: [1] },
      ],
      outputs: [{ name: 'y', parameters: { classification: { int64_param: 4 } } }],
      raw_input_contents: raw,
    });
    const { request, id } = readInferRequest(message);
    expect(id).toBe('é');
    expect(request).toMatchObject({
      model: 'm',
      version: '2',
      id: 'é',
      outputs: [{ name: 'y', classification: 4 }],
    });
    expect({ ...request?.parameters }).toEqual({
      priority: 3,
      timeout: 5000,
      note: 'n',
      yes: true,
      half: 0.5,
      less: -1,
    });
    const [a, b] = (request as { inputs: readonly Tensor[] }).inputs as [Tensor, Tensor];
    expect(a).toEqual({ name: 'a', datatype: 'FP16', shape: [2, 1], data: Uint8Array.of(1, 2, 3, 4) });
    expect((a.data as Uint8Array).buffer).toBe(message.buffer);
    expect(b.data).toEqual([Uint8Array.of(65)]);
  });

  it('a request with elements one by one, as a writer may send them, is read the same', () => {
    // Field 2 of the contents, once for each of -1, 7 and 300.
    const elements = Buffer.from([0x10, ...Array(9).fill(0xff), 0x01, 0x10, 7, 0x10, 0xac, 0x02]);
    const contents = Buffer.concat([Buffer.from([0x2a, elements.length]), elements]);
    // The shape one by one, too, behind the contents.
    const input = Buffer.concat([
      Buffer.from([0x0a, 1, 0x78, 0x12, 5]),
      Buffer.from('INT32'),
      contents,
      Buffer.from([0x18, 3, 0x18, 1]),
    ]);
    const { request } = readInferRequest(Buffer.concat([Buffer.from([0x2a, input.length]), input]));
    expect(request?.inputs[0]?.shape).toEqual([3, 1]);
    expect(request?.inputs[0]?.data).toEqual(new Uint8Array(Int32Array.of(-1, 7, 300).buffer));
  });

  const input = (datatype: string, shape: unknown[], contents?: object) => ({
    name: 'x',
    datatype,
    shape,
    contents,
  });
  it.each<[string, object, RegExp]>([
    [
      'raw contents beside typed ones',
      { inputs: [input('INT8', [1], { int_contents: [1] })], raw_input_contents: [Buffer.of(1)] },
      /both contents and raw_input_contents/,
    ],
    [
      'raw contents for some inputs',
      { inputs: [input('INT8', [1]), input('INT8', [1])], raw_input_contents: [Buffer.of(1)] },
      /has 1 entries for 2 inputs/,
    ],
    [
      'the field of another datatype',
      { inputs: [input('INT8', [1], { fp32_contents: [1] })] },
      /is sent in int_contents, and not in fp32_contents/,
    ],
    [
      'too few elements',
      { inputs: [input('INT8', [2], { int_contents: [1] })] },
      /has 1 elements, .* needs 2/,
    ],
    ['too many elements', { inputs: [input('INT8', [1], { int_contents: [1, 2] })] }, /has more elements/],
    [
      'too many of BYTES',
      { inputs: [input('BYTES', [1], { bytes_contents: ['', ''] })] },
      /has more elements/,
    ],
    ['no elements', { inputs: [input('FP32', [1])] }, /has 0 elements/],
    [
      'FP16 in contents',
      { inputs: [input('FP16', [1], { uint_contents: [1] })] },
      /send it in raw_input_contents/,
    ],
    [
      'a number beyond INT8',
      { inputs: [input('INT8', [1], { int_contents: [128] })] },
      /has the element 128/,
    ],
    [
      'a negative dimension',
      { inputs: [input('INT8', [-1], { int_contents: [1] })] },
      /has the dimension -1/,
    ],
    [
      'a dimension beyond 2^53',
      { inputs: [input('INT8', ['9223372036854775807'])] },
      /has the dimension Infinity/,
    ],
    [
      'a shape that overflows',
      { inputs: [input('INT8', [2 ** 30, 2 ** 30, 2 ** 30])] },
      /more elements than any machine/,
    ],
    [
      'shared memory',
      { inputs: [{ ...input('INT8', [1]), parameters: { shared_memory_region: { string_param: 'r' } } }] },
      /shared memory is not served/,
    ],
    ['a priority beyond 2^53', { parameters: { priority: { int64_param: '9223372036854775807' } } }, /./],
    ['2000 outputs', { outputs: Array(2000).fill({ name: 'y' }) }, /more than 1024/],
  ])('a wrong request is refused in one sentence: %s', (_, message, sentence) => {
    const { request, error } = readInferRequest(encode({ model_name: 'm', id: '7', ...message }));
    if (request) expect(request.parameters.priority).toBeNaN();
    else expect(error?.message).toMatch(sentence);
  });

  it('a damaged request is read or refused, and never more', () => {
    const whole = encode({
      model_name: 'model',
      inputs: [
        input('INT32', [4], { int_contents: [1, -2, 3, 4] }),
        input('BYTES', [2], { bytes_contents: ['YQ==', 'Yg=='] }),
        input('INT64', [2], { int64_contents: ['9223372036854775807', 1] }),
      ],
      outputs: [{ name: 'y', parameters: { classification: { int64_param: 1 } } }],
      parameters: { priority: { int64_param: 1 } },
    });
    const damage = fc.record({ at: fc.nat(whole.length - 1), by: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(damage, { maxLength: 4 }), fc.nat(whole.length), (damages, length) => {
        const bytes = Buffer.from(whole);
        for (const { at, by } of damages) bytes[at] = by;
        const { request, error } = readInferRequest(bytes.subarray(0, length));
        expect((request === undefined) !== (error === undefined)).toBe(true);
        for (const { datatype, shape, data } of request?.inputs ?? []) {
          const count = shape.reduce((product, each) => product * each, 1);
          expect(data.length).toBe(count * (ELEMENT_BYTES[datatype as Datatype] ?? 1));
        }
      }),
      { numRuns: 2000 },
    );
  });
});
