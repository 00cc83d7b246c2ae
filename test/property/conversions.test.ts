import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as gen from '#farlight/proto/gen/operations.js';
import * as converters from '#farlight/proto/webidl/converters.js';
import { bear, Resource } from '#farlight/proto/webidl/resource.js';
import { check, timeout } from './runs.js';
import { anything, iterables, live, mostly, numbers, objects, type Sketch } from './values.js';
import * as idl from './webidl-model.js';

const TRIES = 1000;

interface Outcome {
  value?: unknown;
  thrown?: string;
  trace: string[];
}

function outcome(convert: (value: unknown) => unknown, sketch: Sketch): Outcome {
  const trace: string[] = [];
  try {
    return { value: convert(live(sketch, trace)), trace };
  } catch (error) {
    const { name, message } = error as Error;
    // The message of a TypeError is the converter's own. An exception from the value's own code is passed on.
    return { thrown: name === 'TypeError' ? name : `${name} ${message}`, trace };
  }
}

/** Names without a prototype, and members that are undefined, count as equal. */
function plain(value: unknown): unknown {
  if (value instanceof Resource) return 'resource';
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, member]) => (member === undefined ? [] : [[name, plain(member)]])),
  );
}

function converts(
  what: string,
  farlight: (value: unknown) => unknown,
  model: idl.Convert,
  values: fc.Arbitrary<Sketch>,
): void {
  test(what, { timeout }, async () => {
    const property = fc.asyncProperty(values, async (sketch) => {
      const [expected, actual] = [outcome(model, sketch), outcome(farlight, sketch)];
      expect({ ...actual, value: plain(actual.value) }).toEqual({
        ...expected,
        value: plain(expected.value),
      });
      // The sign of a zero is a part of the value.
      expect(isDeepStrictEqual(plain(actual.value), plain(expected.value)), 'equal to the sign of zero').toBe(
        true,
      );
    });
    await check(property, TRIES);
    // Always the same values: this tests the generator, and must not fail by chance.
    const outcomes = fc.sample(values, { seed: 1, numRuns: TRIES }).map((sketch) => outcome(model, sketch));
    const kinds = new Set(outcomes.map(({ thrown }) => (thrown ? 'refused' : 'converted')));
    expect([...kinds].sort()).toEqual(what === 'boolean' ? ['converted'] : ['converted', 'refused']);
  });
}

class Any extends Resource {
  readonly kind: string;
  constructor(kind: string) {
    super(1, {});
    this.kind = kind;
  }
}

function resource(kind: string): object {
  const wrapper = {};
  bear(wrapper, new Any(kind));
  return wrapper;
}

const anyNumber = mostly(numbers);
const label = { label: { type: idl.usvString, default: '' } };
const texture = resource('GPUTexture');
const module = resource('GPUShaderModule');

describe('conversions of Web IDL', () => {
  const enforced = (lower: number, upper: number) => (value: unknown) =>
    converters.enforceRange(value, lower, upper, 'type', 'value');
  converts('[EnforceRange] unsigned long', enforced(0, 2 ** 32 - 1), idl.unsignedLong, anyNumber);
  converts('[EnforceRange] unsigned long long', enforced(0, 2 ** 53 - 1), idl.unsignedLongLong, anyNumber);
  converts('[EnforceRange] long', enforced(-(2 ** 31), 2 ** 31 - 1), idl.long, anyNumber);
  const clamp = (value: unknown) => converters.clamp(value, 0, 65535, 'value');
  converts('[Clamp] unsigned short', clamp, idl.clamped(0, 65535), anyNumber);
  converts('unsigned long', (value) => converters.toUnsignedLong(value, 'value'), idl.wrapped, anyNumber);
  converts('float', (value) => converters.toFloat(value, 'value'), idl.float, anyNumber);
  converts('double', (value) => converters.toDouble(value, 'value'), idl.double, anyNumber);
  converts('boolean', converters.toBoolean, idl.boolean, anything);
  converts('DOMString', (value) => converters.toDOMString(value, 'value'), idl.domString, anything);
  converts('USVString', (value) => converters.toUSVString(value, 'value'), idl.usvString, anything);
  const sequence = (value: unknown) =>
    converters.toSequence(value, (element) => converters.toDouble(element, 'element'), 'value');
  converts('sequence<double>', sequence, idl.sequence(idl.double), iterables(anyNumber));
});

describe('conversions of WebGPU', () => {
  const { setBlendConstant } = gen.OPERATIONS.GPURenderPassEncoder;
  const number = { type: idl.double, required: true } as const;
  converts(
    'GPUColor',
    (value) => setBlendConstant.convert?.([value])[0],
    idl.shaped(
      4,
      4,
      idl.sequenceOr(idl.double, idl.dictionary({ r: number, g: number, b: number, a: number })),
    ),
    fc.oneof(
      fc
        .array(mostly(fc.double({ noNaN: true, noDefaultInfinity: true })), { minLength: 4, maxLength: 4 })
        .map((values) => ({ is: 'iterable', values, as: 'own' }) as const),
      iterables(anyNumber),
      objects({ r: anyNumber, g: anyNumber, b: anyNumber, a: anyNumber }),
      anything,
    ),
  );

  const size = (value: unknown) =>
    gen.convertGPUTextureDescriptor({ size: value, format: 'rgba8unorm', usage: 1 }).size;
  const width = { type: idl.unsignedLong, required: true } as const;
  const one = { type: idl.unsignedLong, default: 1 };
  converts(
    'GPUExtent3D',
    // A member that is undefined counts as absent. Other tests give no member at all.
    size,
    (value) => {
      if (value === undefined) throw new TypeError('required');
      const extent = idl.dictionary({ width, height: one, depthOrArrayLayers: one });
      return idl.shaped(1, 3, idl.sequenceOr(idl.unsignedLong, extent))(value);
    },
    fc.oneof(
      iterables(anyNumber),
      objects({ width: anyNumber, height: anyNumber, depthOrArrayLayers: anyNumber }),
      anything,
    ),
  );

  const zero = { type: idl.unsignedLong, default: 0 };
  const origin = (value: unknown) => gen.convertGPUTexelCopyTextureInfo({ origin: value, texture }).origin;
  const origin3D = idl.dictionary({ x: zero, y: zero, z: zero });
  converts(
    'GPUOrigin3D',
    origin,
    (value) =>
      value === undefined
        ? origin3D({})
        : idl.shaped(0, 3, idl.sequenceOr(idl.unsignedLong, origin3D))(value),
    fc.oneof(iterables(anyNumber), objects({ x: anyNumber, y: anyNumber, z: anyNumber }), anything),
  );

  converts(
    'record<USVString, GPUPipelineConstantValue>',
    (value) => gen.convertGPUProgrammableStage({ constants: value, module }).constants,
    (value) => (value === undefined ? {} : idl.record(idl.usvString, idl.double)(value)),
    fc.oneof(objects({ a: anyNumber, 'b\ud800': anyNumber, 'b\ufffd': anyNumber, '1': anyNumber }), anything),
  );

  converts(
    'GPUBufferDescriptor',
    gen.convertGPUBufferDescriptor,
    idl.dictionary(label, {
      size: { type: idl.unsignedLongLong, required: true },
      usage: { type: idl.unsignedLong, required: true },
      mappedAtCreation: { type: idl.boolean, default: false },
    }),
    fc.oneof(
      {
        weight: 8,
        arbitrary: objects({
          label: mostly(fc.string()),
          size: mostly(fc.nat()),
          usage: mostly(fc.nat()),
          mappedAtCreation: anything,
        }),
      },
      { weight: 1, arbitrary: anything },
    ),
  );

  const address = ['clamp-to-edge', 'repeat', 'mirror-repeat'];
  const filter = ['nearest', 'linear'];
  const compare = ['never', 'less', 'equal', 'less-equal', 'greater', 'not-equal', 'greater-equal', 'always'];
  const named = (values: string[]) => mostly(fc.constantFrom(...values, ...values));
  const float = mostly(fc.float({ noNaN: true, noDefaultInfinity: true }));
  converts(
    'GPUSamplerDescriptor',
    gen.convertGPUSamplerDescriptor,
    idl.dictionary(label, {
      addressModeU: { type: idl.enumeration(...address), default: 'clamp-to-edge' },
      addressModeV: { type: idl.enumeration(...address), default: 'clamp-to-edge' },
      addressModeW: { type: idl.enumeration(...address), default: 'clamp-to-edge' },
      magFilter: { type: idl.enumeration(...filter), default: 'nearest' },
      minFilter: { type: idl.enumeration(...filter), default: 'nearest' },
      mipmapFilter: { type: idl.enumeration(...filter), default: 'nearest' },
      lodMinClamp: { type: idl.float, default: 0 },
      lodMaxClamp: { type: idl.float, default: 32 },
      compare: { type: idl.enumeration(...compare) },
      maxAnisotropy: { type: idl.clamped(0, 65535), default: 1 },
    }),
    objects({
      label: mostly(fc.string()),
      addressModeU: named(address),
      addressModeW: named(address),
      magFilter: named(filter),
      compare: named(compare),
      lodMinClamp: float,
      lodMaxClamp: float,
      maxAnisotropy: mostly(numbers),
    }),
  );

  const types = ['uniform', 'storage', 'read-only-storage'];
  converts(
    'GPUBindGroupLayoutDescriptor',
    gen.convertGPUBindGroupLayoutDescriptor,
    idl.dictionary(label, {
      entries: {
        type: idl.sequence(
          idl.dictionary({
            binding: { type: idl.unsignedLong, required: true },
            visibility: { type: idl.unsignedLong, required: true },
            buffer: {
              type: idl.dictionary({
                type: { type: idl.enumeration(...types), default: 'uniform' },
                hasDynamicOffset: { type: idl.boolean, default: false },
                minBindingSize: { type: idl.unsignedLongLong, default: 0 },
              }),
            },
          }),
        ),
        required: true,
      },
    }),
    objects({
      label: mostly(fc.string()),
      entries: iterables(
        objects({
          binding: mostly(fc.nat(8)),
          visibility: mostly(fc.nat(7)),
          buffer: objects({
            type: named(types),
            hasDynamicOffset: anything,
            minBindingSize: mostly(fc.nat()),
          }),
        }),
      ),
    }),
  );
});
