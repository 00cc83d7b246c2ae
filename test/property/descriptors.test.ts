import fc from 'fast-check';
import { expect, test } from 'vitest';
import { check, journal, timeout } from './runs.js';
import { open } from './targets.js';

const FORMATS = [
  ...[
    'r8unorm',
    'rgba8unorm',
    'rgba8unorm-srgb',
    'rgba8snorm',
    'bgra8unorm',
    'rgba8uint',
    'r32float',
    'rg32uint',
  ],
  ...['rgba16float', 'rgba32float', 'rgb9e5ufloat', 'rg11b10ufloat', 'depth24plus-stencil8', 'depth32float'],
  ...['stencil8', 'bc1-rgba-unorm', 'no-such-format'],
];
const COMPARE = ['never', 'less', 'equal', 'always', 'sometimes'];
const small = fc.constantFrom(0, 1, 2, 3, 4, 8, 16, 255, 65536, 2 ** 32 - 1, 2 ** 32, -1, 1.5, Number.NaN);
const flags = fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constantFrom(1, 2, 4, 16, 0x17, 2 ** 31));
/** A zero has no sign: on the wire it is the default, which is left out, and only messages would show the sign. */
const number = fc
  .oneof(fc.constantFrom(0, 1, 0.5, 32, -1, 1e38, 1e39, Number.NaN), fc.float())
  .map((value) => value + 0);

/** Names that are mostly values of the enumeration. */
const named = (...names: string[]) =>
  fc.oneof(
    { weight: 20, arbitrary: fc.constantFrom(...names) },
    { weight: 1, arbitrary: fc.constantFrom('', 'other', names[0]?.toUpperCase()) },
  );

/** A dictionary of which any member may be missing. Those in `required` are rarely missing. */
function members(model: Record<string, fc.Arbitrary<unknown>>, ...required: string[]): fc.Arbitrary<object> {
  const all = Object.entries(model).map(([name, member]) => {
    const absent = fc.constant(undefined);
    const [there, not] = required.includes(name) ? [40, 1] : [1, 2];
    return [name, fc.oneof({ weight: not, arbitrary: absent }, { weight: there, arbitrary: member })];
  });
  return fc.record(Object.fromEntries(all));
}

/** The object without its undefined members. */
const defined = (made: object) =>
  Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined));

const binding = members(
  {
    binding: fc.constantFrom(0, 1, 2, 3, 999, 1000, 2 ** 32 - 1),
    visibility: fc.constantFrom(0, 1, 2, 4, 7, 8),
    buffer: members({
      type: named('uniform', 'storage', 'read-only-storage'),
      hasDynamicOffset: fc.boolean(),
      minBindingSize: fc.constantFrom(0, 4, 16, 2 ** 40, 2 ** 53, -1),
    }),
    sampler: members({ type: named('filtering', 'non-filtering', 'comparison') }),
    texture: members({
      sampleType: named('float', 'unfilterable-float', 'depth', 'sint', 'uint'),
      viewDimension: named('1d', '2d', '2d-array', 'cube', 'cube-array', '3d'),
      multisampled: fc.boolean(),
    }),
    storageTexture: members(
      {
        access: named('write-only', 'read-only', 'read-write'),
        format: named(...FORMATS),
        viewDimension: named('1d', '2d', '2d-array', 'cube', '3d'),
      },
      'format',
    ),
  },
  'binding',
  'visibility',
);

const DESCRIPTORS = {
  createBuffer: members(
    {
      size: fc.constantFrom(0, 4, 5, 256, 2 ** 40, 2 ** 53, -1),
      usage: fc.oneof(flags, fc.integer({ min: 0, max: 1023 })),
      mappedAtCreation: fc.constant(false),
    },
    'size',
    'usage',
  ),
  createSampler: members({
    addressModeU: named('clamp-to-edge', 'repeat', 'mirror-repeat'),
    addressModeW: named('clamp-to-edge', 'repeat', 'mirror-repeat'),
    magFilter: named('nearest', 'linear'),
    minFilter: named('nearest', 'linear'),
    mipmapFilter: named('nearest', 'linear'),
    lodMinClamp: number,
    lodMaxClamp: number,
    compare: named(...COMPARE),
    // No fractions: Dawn truncates where WebIDL rounds.
    maxAnisotropy: fc.constantFrom(0, 1, 2, 4, 16, 255, 65535, 65536, 2 ** 32, -1, Number.NaN),
  }),
  // Without a size, local Dawn crashes.
  createTexture: members(
    {
      size: fc.oneof(
        fc.record({ width: small, height: small, depthOrArrayLayers: small }),
        fc.array(fc.constantFrom(0, 1, 4, 8, 16, 10000), { minLength: 1, maxLength: 3 }),
      ),
      format: named(...FORMATS),
      usage: flags,
      dimension: named('1d', '2d', '3d'),
      mipLevelCount: small,
      sampleCount: fc.constantFrom(0, 1, 2, 4, 8),
      viewFormats: fc.array(named(...FORMATS), { maxLength: 2 }),
    },
    'size',
    'format',
    'usage',
  ).map((made) => ({ size: [4], ...defined(made) })),
  createBindGroupLayout: members({ entries: fc.array(binding, { maxLength: 3 }) }, 'entries'),
  createQuerySet: members({ type: named('occlusion', 'timestamp'), count: small }, 'type', 'count'),
  createRenderBundleEncoder: members(
    {
      colorFormats: fc.array(fc.option(named(...FORMATS)), { maxLength: 3 }),
      depthStencilFormat: named(...FORMATS),
      sampleCount: fc.constantFrom(0, 1, 4, 8),
      depthReadOnly: fc.boolean(),
    },
    'colorFormats',
  ),
} as const;

type Method = keyof typeof DESCRIPTORS;

const descriptors = fc.oneof(
  ...(Object.keys(DESCRIPTORS) as Method[]).map((method) =>
    fc.record({ method: fc.constant(method), descriptor: DESCRIPTORS[method] as fc.Arbitrary<object> }),
  ),
);

async function tell(device: GPUDevice, method: Method, descriptor: object): Promise<string> {
  device.pushErrorScope('validation');
  let thrown = '';
  try {
    device[method](descriptor as never);
  } catch (error) {
    thrown = (error as Error).name;
  }
  const error = await device.popErrorScope();
  return thrown || (error ? `${error.constructor.name}: ${error.message}` : 'none');
}

test('a random descriptor has the same outcome through Farlight as on local Dawn', { timeout }, async () => {
  const devices: GPUDevice[] = [];
  for (const name of ['local', 'memory'] as const) {
    const adapter = await (await open(name)).gpu.requestAdapter();
    if (!adapter) throw new Error('there is no adapter');
    devices.push(await adapter.requestDevice());
  }
  const [local, farlight] = devices as [GPUDevice, GPUDevice];
  const property = fc.asyncProperty(descriptors, async ({ method, descriptor }) => {
    journal([method, descriptor]);
    const here = await tell(local, method, descriptor);
    expect(await tell(farlight, method, descriptor)).toBe(here);
  });
  await check(property, 1500);
  // Always the same descriptors: this tests the generator, and must not fail by chance.
  const kinds = new Map<string, number>();
  for (const { method, descriptor } of fc.sample(descriptors, { seed: 1, numRuns: 300 })) {
    const kind = (await tell(local, method, descriptor)).replace(/:.*/s, '');
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  }
  for (const kind of ['none', 'TypeError', 'GPUValidationError'])
    expect(kinds.get(kind), `descriptors that end in ${kind}`).toBeGreaterThan(10);
});
