import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bufferOf, COMPUTE, COPY_SRC, dispatch, STORAGE, thrown, UNIFORM, u32sOf } from './support.js';

const storageLayout = (device: GPUDevice, buffer: GPUBufferBindingLayout = { type: 'storage' }) =>
  device.createBindGroupLayout({ entries: [{ binding: 0, visibility: COMPUTE, buffer }] });

const group = (device: GPUDevice, layout: GPUBindGroupLayout, resource: GPUBindingResource, binding = 0) =>
  device.createBindGroup({ layout, entries: [{ binding, resource }] });

/** Copies the input at binding 0 to binding 1, with its length. */
const reader = (device: GPUDevice) =>
  device.createComputePipeline({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `
          @group(0) @binding(0) var<storage, read> input: array<u32>;
          @group(0) @binding(1) var<storage, read_write> out: array<u32, 2>;
          @compute @workgroup_size(1) fn main() { out[0] = input[0]; out[1] = arrayLength(&input); }`,
      }),
    },
  });

async function read(device: GPUDevice, resource: GPUBindingResource): Promise<number[]> {
  const pipeline = reader(device);
  const out = device.createBuffer({ size: 8, usage: STORAGE | COPY_SRC });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 1, resource: { buffer: out } },
      { binding: 0, resource },
    ],
  });
  device.queue.submit([dispatch(device, pipeline, bindGroup)]);
  return u32sOf(device, out);
}

/** 512 bytes: 1 at the start, and 2 from byte 256 on. */
const halves = (device: GPUDevice) => {
  const contents = new Uint32Array(128).fill(1, 0, 64).fill(2, 64);
  return bufferOf(device, STORAGE, contents);
};

describe('GPUBindGroup', () => {
  parity('a bind group binds a whole buffer', async ({ device }) => {
    expect(await read(device, { buffer: halves(device) })).toEqual([1, 128]);
  });

  parity('a buffer alone stands for its whole binding', async ({ device }) => {
    expect(await read(device, halves(device))).toEqual([1, 128]);
  });

  parity('a bind group binds from an offset to the end', async ({ device }) => {
    expect(await read(device, { buffer: halves(device), offset: 256 })).toEqual([2, 64]);
  });

  parity('a bind group binds a part of a given size', async ({ device }) => {
    expect(await read(device, { buffer: halves(device), offset: 256, size: 16 })).toEqual([2, 4]);
    expect(await read(device, { buffer: halves(device), size: 8 })).toEqual([1, 2]);
    expect(
      await read(device, { buffer: halves(device), offset: undefined as never, size: undefined as never }),
    ).toEqual([1, 128]);
  });

  parity('a bind group has its label', async ({ device, globals, valid }) => {
    const layout = storageLayout(device);
    const bindGroup = await valid(() =>
      device.createBindGroup({
        label: 'bound',
        layout,
        entries: [{ binding: 0, resource: { buffer: halves(device) } }],
      }),
    );
    expect(bindGroup).toBeInstanceOf(globals.GPUBindGroup);
    expect(bindGroup.label).toBe('bound');
  });

  parity('a missing, an extra and a doubled entry are validation errors', async ({ device, invalid }) => {
    const layout = storageLayout(device);
    const resource = { buffer: halves(device) };
    const make = (...bindings: number[]) =>
      device.createBindGroup({ layout, entries: bindings.map((binding) => ({ binding, resource })) });
    await invalid(() => make());
    await invalid(() => make(1));
    await invalid(() => make(0, 1));
    await invalid(() => make(0, 0));
  });

  const wrong: [why: string, binding: (device: GPUDevice) => GPUBufferBinding][] = [
    ['an offset that is not aligned', (device) => ({ buffer: halves(device), offset: 4 })],
    ['an offset beyond the end', (device) => ({ buffer: halves(device), offset: 768 })],
    ['a size beyond the end', (device) => ({ buffer: halves(device), size: 516 })],
    [
      'an offset and a size that pass the end',
      (device) => ({ buffer: halves(device), offset: 256, size: 260 }),
    ],
    ['a size of zero', (device) => ({ buffer: halves(device), size: 0 })],
    ['nothing left after the offset', (device) => ({ buffer: halves(device), offset: 512 })],
    ['a storage size that is not a multiple of four', (device) => ({ buffer: halves(device), size: 6 })],
    ['a buffer without STORAGE', (device) => ({ buffer: device.createBuffer({ size: 16, usage: UNIFORM }) })],
  ];
  for (const [why, binding] of wrong) {
    parity(`${why} is a validation error`, async ({ device, invalid }) => {
      await invalid(() => group(device, storageLayout(device), binding(device)));
    });
  }

  parity(
    'a binding smaller than minBindingSize is a validation error',
    async ({ device, valid, invalid }) => {
      const layout = storageLayout(device, { type: 'storage', minBindingSize: 32 });
      await valid(() => group(device, layout, { buffer: halves(device), size: 32 }));
      await invalid(() => group(device, layout, { buffer: halves(device), size: 28 }));
    },
  );

  parity('a binding larger than the limit is a validation error', async ({ device, valid, invalid }) => {
    const limit = device.limits.maxUniformBufferBindingSize;
    const buffer = device.createBuffer({ size: limit + 16, usage: UNIFORM });
    const layout = storageLayout(device, { type: 'uniform' });
    await valid(() => group(device, layout, { buffer, size: limit }));
    await invalid(() => group(device, layout, { buffer }));
  });

  parity('a destroyed buffer can be bound, and makes the submit fail', async ({ device, valid, invalid }) => {
    const pipeline = reader(device);
    const gone = device.createBuffer({ size: 16, usage: STORAGE, label: 'gone' });
    gone.destroy();
    const out = device.createBuffer({ size: 8, usage: STORAGE });
    const bindGroup = await valid(() =>
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: [gone, out].map((buffer, binding) => ({ binding, resource: { buffer } })),
      }),
    );
    const commands = await valid(() => dispatch(device, pipeline, bindGroup));
    await invalid(() => device.queue.submit([commands]));
  });

  parity('an invalid buffer makes an invalid bind group, each time', async ({ device, scoped, invalid }) => {
    let broken: GPUBuffer | undefined;
    await scoped('validation', () => {
      broken = device.createBuffer({ size: 16, usage: 0x8000 | STORAGE, label: 'broken' });
    });
    const resource = { buffer: broken as GPUBuffer };
    await invalid(() => group(device, storageLayout(device), resource));
    await invalid(() => group(device, storageLayout(device), resource));
  });

  parity(
    "another device's buffer or layout is a validation error",
    async ({ device, newDevice, invalid }) => {
      const other = await newDevice();
      await invalid(() => group(device, storageLayout(device), { buffer: halves(other) }));
      await invalid(() => group(device, storageLayout(other), { buffer: halves(device) }));
    },
  );

  parity('a missing required member throws a TypeError', ({ device }) => {
    const layout = storageLayout(device);
    const buffer = halves(device);
    const make = (descriptor: unknown) => () => device.createBindGroup(descriptor as never);
    expect(thrown(make({ entries: [] }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout, entries: [{ resource: { buffer } }] }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout, entries: [{ binding: 0, resource: {} }] }))).toBeInstanceOf(TypeError);
    expect(thrown(make({ layout, entries: [{ binding: 0, resource: { buffer: {} } }] }))).toBeInstanceOf(
      TypeError,
    );
    expect(thrown(make({ layout: {}, entries: [] }))).toBeInstanceOf(TypeError);
  });

  parity(
    'an entry without a resource throws a TypeError',
    ({ device }) => {
      const layout = storageLayout(device);
      for (const resource of [undefined, null]) {
        const entries = [{ binding: 0, resource: resource as never }];
        expect(thrown(() => device.createBindGroup({ layout, entries }))).toBeInstanceOf(TypeError);
      }
    },
    { deviation: 'null or undefined for a dictionary crashes it' },
  );

  parity('the same entries make a new object each time', ({ device }) => {
    const layout = storageLayout(device);
    const buffer = halves(device);
    expect(group(device, layout, { buffer })).not.toBe(group(device, layout, { buffer }));
  });
});
