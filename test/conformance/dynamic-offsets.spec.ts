import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { bufferOf, COMPUTE, COPY_SRC, STORAGE, thrown, UNIFORM, u32sOf } from './support.js';

/** Adds two dynamic uniforms, bound at 5 and at 2. Dynamic offsets come in the order of the bindings. */
function setUp(device: GPUDevice) {
  const dynamic: GPUBufferBindingLayout = { type: 'uniform', hasDynamicOffset: true, minBindingSize: 4 };
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 5, visibility: COMPUTE, buffer: dynamic },
      { binding: 2, visibility: COMPUTE, buffer: dynamic },
      { binding: 0, visibility: COMPUTE, buffer: { type: 'storage' } },
    ],
  });
  const module = device.createShaderModule({
    code: `
      @group(0) @binding(0) var<storage, read_write> out: u32;
      @group(0) @binding(2) var<uniform> low: u32;
      @group(0) @binding(5) var<uniform> high: u32;
      @compute @workgroup_size(1) fn main() { out = low + 10u * high; }`,
  });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module },
  });
  const contents = new Uint32Array(192);
  contents.set([1], 0);
  contents.set([2], 64);
  contents.set([3], 128);
  const numbers = bufferOf(device, UNIFORM, contents);
  const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
  const group = device.createBindGroup({
    layout,
    entries: [
      { binding: 0, resource: { buffer: out } },
      { binding: 2, resource: { buffer: numbers, size: 4 } },
      { binding: 5, resource: { buffer: numbers, size: 4 } },
    ],
  });
  return { pipeline, group, out };
}

async function sum(device: GPUDevice, bind: (pass: GPUComputePassEncoder, group: GPUBindGroup) => void) {
  const { pipeline, group, out } = setUp(device);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  bind(pass, group);
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  return (await u32sOf(device, out))[0];
}

async function refused(
  t: Subject,
  bind: (pass: GPUComputePassEncoder, group: GPUBindGroup) => void,
): Promise<void> {
  const { group } = setUp(t.device);
  const encoder = t.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  bind(pass, group);
  pass.end();
  await t.invalid(() => encoder.finish());
}

describe('GPUComputePassEncoder.setBindGroup with dynamic offsets', () => {
  parity('dynamic offsets come from an array, in the order of the bindings', async ({ device }) => {
    expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, [0, 512]))).toBe(31);
    expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, [256, 0]))).toBe(12);
  });

  parity('dynamic offsets come from a part of a Uint32Array', async ({ device }) => {
    const offsets = Uint32Array.of(9, 9, 512, 256, 9);
    expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, offsets, 2, 2))).toBe(23);
  });

  parity('setBindGroup reads a Uint32Array at the time of the call', async ({ device }) => {
    const offsets = Uint32Array.of(256, 512);
    const found = await sum(device, (pass, group) => {
      pass.setBindGroup(0, group, offsets, 0, 2);
      offsets.fill(0);
    });
    expect(found).toBe(32);
  });

  parity(
    'setBindGroup takes a Uint32Array without a part as a sequence',
    async ({ device }) => {
      const offsets = Uint32Array.of(512, 512) as never;
      expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, offsets))).toBe(33);
    },
    { deviation: 'sequences must be arrays' },
  );

  parity(
    'setBindGroup takes any iterable as a sequence',
    async ({ device }) => {
      const offsets = new Set([256, 512]) as never;
      expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, offsets))).toBe(32);
    },
    { deviation: 'sequences must be arrays' },
  );

  parity(
    'setBindGroup takes a Uint32Array in shared memory',
    async ({ device }) => {
      const offsets = new Uint32Array(new SharedArrayBuffer(8));
      offsets.set([256, 512]);
      expect(await sum(device, (pass, group) => pass.setBindGroup(0, group, offsets as never, 0, 2))).toBe(
        32,
      );
    },
    { deviation: 'bytes of a SharedArrayBuffer crash it' },
  );

  parity('too few, too many and unaligned offsets are validation errors', async (t) => {
    await refused(t, (pass, group) => pass.setBindGroup(0, group));
    await refused(t, (pass, group) => pass.setBindGroup(0, group, [0]));
    await refused(t, (pass, group) => pass.setBindGroup(0, group, [0, 0, 0]));
    await refused(t, (pass, group) => pass.setBindGroup(0, group, [0, 4]));
  });

  parity('an offset that moves the binding beyond its buffer is a validation error', async (t) => {
    await refused(t, (pass, group) => pass.setBindGroup(0, group, [0, 768]));
  });

  parity('a part beyond the Uint32Array throws a RangeError', ({ device }) => {
    const { group } = setUp(device);
    const pass = device.createCommandEncoder().beginComputePass();
    const offsets = new Uint32Array(3);
    expect(thrown(() => pass.setBindGroup(0, group, offsets, 2, 2))).toBeInstanceOf(RangeError);
    expect(thrown(() => pass.setBindGroup(0, group, offsets, 4, 0))).toBeInstanceOf(RangeError);
    pass.end();
  });

  parity('offsets that are not u32 throw a TypeError', ({ device }) => {
    const { group } = setUp(device);
    const pass = device.createCommandEncoder().beginComputePass();
    expect(thrown(() => pass.setBindGroup(0, group, [-1, 0]))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.setBindGroup(0, group, [2 ** 32, 0]))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.setBindGroup(0, group, 4 as never))).toBeInstanceOf(TypeError);
    pass.end();
  });
});
