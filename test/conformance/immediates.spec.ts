import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { bindGroup, COMPUTE, COPY_SRC, STORAGE, thrown, u32sOf } from './support.js';

/** Writes the two immediates of a pass to a buffer. */
function setUp(device: GPUDevice) {
  const layout = device.createBindGroupLayout({
    entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: 'storage' } }],
  });
  const module = device.createShaderModule({
    code: `
      requires immediate_address_space;
      var<immediate> given: vec2u;
      @group(0) @binding(0) var<storage, read_write> out: vec2u;
      @compute @workgroup_size(1) fn main() { out = given; }`,
  });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout], immediateSize: 8 }),
    compute: { module },
  });
  const out = device.createBuffer({ size: 8, usage: STORAGE | COPY_SRC });
  return { pipeline, out, group: bindGroup(device, pipeline, [out]) };
}

async function written(device: GPUDevice, set: (pass: GPUComputePassEncoder) => void): Promise<number[]> {
  const { pipeline, out, group } = setUp(device);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  set(pass);
  pass.dispatchWorkgroups(1);
  pass.end();
  device.queue.submit([encoder.finish()]);
  return u32sOf(device, out);
}

describe('GPUComputePassEncoder.setImmediates', () => {
  parity('setImmediates gives the shader its values, part by part', async ({ device }) => {
    expect(await written(device, (pass) => pass.setImmediates(0, Uint32Array.of(7, 8)))).toEqual([7, 8]);
    const parts = await written(device, (pass) => {
      pass.setImmediates(4, Uint32Array.of(2));
      pass.setImmediates(0, Uint32Array.of(1));
    });
    expect(parts).toEqual([1, 2]);
  });

  parity(
    'setImmediates counts elements of a typed array, and bytes of an ArrayBuffer',
    async ({ device }) => {
      const data = Uint32Array.of(1, 2, 3, 4);
      expect(await written(device, (pass) => pass.setImmediates(0, data, 1, 2))).toEqual([2, 3]);
      expect(await written(device, (pass) => pass.setImmediates(0, data.buffer, 8, 8))).toEqual([3, 4]);
      expect(await written(device, (pass) => pass.setImmediates(0, data, 2))).toEqual([3, 4]);
    },
  );

  parity('setImmediates copies its data at the time of the call', async ({ device }) => {
    const data = Uint32Array.of(5, 6);
    const found = await written(device, (pass) => {
      pass.setImmediates(0, data);
      data.fill(0);
    });
    expect(found).toEqual([5, 6]);
  });

  parity('each dispatch has the immediates set before it', async ({ device }) => {
    const found = await written(device, (pass) => {
      pass.setImmediates(0, Uint32Array.of(1, 1));
      pass.dispatchWorkgroups(1);
      pass.setImmediates(4, Uint32Array.of(9));
    });
    expect(found).toEqual([1, 9]);
  });

  parity('a range outside the data throws OperationError', ({ device }) => {
    const pass = device.createCommandEncoder().beginComputePass();
    const data = new Uint32Array(2);
    expect(thrown(() => pass.setImmediates(0, data, 3)).name).toBe('OperationError');
    expect(thrown(() => pass.setImmediates(0, data, 1, 2)).name).toBe('OperationError');
    pass.end();
  });

  parity(
    'a size that is not a multiple of four bytes throws OperationError',
    async ({ device, valid }) => {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      await valid(() => {
        expect(thrown(() => pass.setImmediates(0, new Uint8Array(3))).name).toBe('OperationError');
      });
      pass.end();
    },
    { deviation: 'a wrong size of immediates is an error of the device' },
  );

  parity('an offset beyond the limit, or unaligned, is a validation error', async ({ device, invalid }) => {
    for (const [offset, length] of [
      [device.limits.maxImmediateSize, 1],
      [2, 1],
    ] as const) {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setImmediates(offset, new Uint32Array(length));
      pass.end();
      await invalid(() => encoder.finish());
    }
  });

  parity(
    'a dispatch whose immediates were not all set is a validation error',
    async ({ device, invalid }) => {
      const { pipeline, group } = setUp(device);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.setImmediates(0, Uint32Array.of(1));
      pass.dispatchWorkgroups(1);
      pass.end();
      await invalid(() => encoder.finish());
    },
  );
});
