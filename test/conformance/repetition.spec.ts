import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, STORAGE, UNIFORM, u32sOf } from './support.js';

/** out = input * factor + offset, four numbers at a time. */
const affine = (device: GPUDevice) =>
  device.createComputePipeline({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `
          struct Params { factor: u32, offset: u32 }
          @group(0) @binding(0) var<storage, read> input: vec4u;
          @group(0) @binding(1) var<storage, read_write> out: vec4u;
          @group(0) @binding(2) var<uniform> params: Params;
          @compute @workgroup_size(1) fn main() { out = input * params.factor + params.offset; }`,
      }),
    },
  });

describe('repetition', () => {
  parity('rotating buffers through the same work gives each result', async ({ device }) => {
    const pipeline = affine(device);
    const pool = Array.from({ length: 3 }, (_, index) =>
      support.bufferOf(device, STORAGE | COPY_SRC, Uint32Array.of(index, 1, 2, 3)),
    );
    const expected = [0, 1, 2].map((index) => [index, 1, 2, 3]);
    for (let round = 0; round < 15; round++) {
      const [from, to] = [round % 3, (round + 1) % 3] as const;
      // A new uniform for each dispatch, as frameworks make them, with contents that come again.
      const [factor, offset] = [1 + (round % 2), round % 5];
      const params = device.createBuffer({ size: 8, usage: UNIFORM | COPY_DST });
      device.queue.writeBuffer(params, 0, Uint32Array.of(factor, offset));
      const buffers = [pool[from], pool[to], params] as GPUBuffer[];
      device.queue.submit([support.dispatch(device, pipeline, support.bindGroup(device, pipeline, buffers))]);
      params.destroy();
      expected[to] = (expected[from] as number[]).map((number) => number * factor + offset);
    }
    const found = await Promise.all(pool.map((buffer) => u32sOf(device, buffer)));
    expect(found).toEqual(expected);
  });

  parity('repeated uploads of the same and of other bytes each reach their place', async ({ device }) => {
    const contents = [11, 22, 11, 33, 22, 11];
    const out = device.createBuffer({ size: 4 * contents.length, usage: COPY_SRC | COPY_DST });
    contents.forEach((number, index) => {
      const staging = support.bufferOf(device, COPY_SRC, Uint32Array.of(number));
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(staging, 0, out, 4 * index, 4);
      device.queue.submit([encoder.finish()]);
      staging.destroy();
    });
    expect(await u32sOf(device, out)).toEqual(contents);
  });

  parity('a repeated mistake is reported each time', async ({ device, scoped, uncaptured }) => {
    const layout = device.createBindGroupLayout({ entries: [] });
    const entries = [{ binding: 3, resource: { buffer: device.createBuffer({ size: 4, usage: STORAGE }) } }];
    const messages: (string | undefined)[] = [];
    for (let round = 0; round < 3; round++) {
      const error = await scoped('validation', () => device.createBindGroup({ layout, entries }));
      messages.push(error?.message);
    }
    expect(messages[0]).toBeTypeOf('string');
    expect(messages).toEqual([messages[0], messages[0], messages[0]]);
    device.createBindGroup({ layout, entries });
    device.createBindGroup({ layout, entries });
    expect((await uncaptured()).map((error) => error.message)).toEqual([messages[0], messages[0]]);
  });

  parity('changing one thing in a repetition changes only that', async ({ device }) => {
    const source = support.bufferOf(device, COPY_SRC, Uint32Array.of(1, 2, 3, 4));
    const found: number[][] = [];
    for (const [from, to, size] of [
      [0, 0, 4],
      [0, 0, 4],
      [4, 0, 4],
      [4, 8, 4],
      [4, 8, 8],
      [0, 0, 4],
    ] as const) {
      const out = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, from, out, to, size);
      device.queue.submit([encoder.finish()]);
      found.push(await u32sOf(device, out));
    }
    expect(found).toEqual([
      [1, 0, 0, 0],
      [1, 0, 0, 0],
      [2, 0, 0, 0],
      [0, 0, 2, 0],
      [0, 0, 2, 3],
      [1, 0, 0, 0],
    ]);
  });

  parity('two devices can do the same at once, each with its own data', async ({ device, newDevice }) => {
    const devices = [device, await newDevice()];
    const outs = devices.map((each) => each.createBuffer({ size: 16, usage: STORAGE | COPY_SRC }));
    const pipelines = devices.map(affine);
    for (let round = 1; round <= 3; round++) {
      devices.forEach((each, index) => {
        const input = support.bufferOf(each, STORAGE, Uint32Array.of(index, round, 0, 0));
        const params = support.bufferOf(each, UNIFORM, Uint32Array.of(10, index));
        const pipeline = pipelines[index] as GPUComputePipeline;
        const group = support.bindGroup(each, pipeline, [input, outs[index] as GPUBuffer, params]);
        each.queue.submit([support.dispatch(each, pipeline, group)]);
      });
    }
    expect(await u32sOf(devices[0] as GPUDevice, outs[0] as GPUBuffer)).toEqual([0, 30, 0, 0]);
    expect(await u32sOf(devices[1] as GPUDevice, outs[1] as GPUBuffer)).toEqual([11, 31, 1, 1]);
  });

  parity('after many created and destroyed buffers, the last one works', async ({ device, valid }) => {
    const last = await valid(() => {
      for (let count = 0; count < 1000; count++) {
        device.createBuffer({ size: 16, usage: STORAGE }).destroy();
      }
      return support.bufferOf(device, COPY_SRC, Uint32Array.of(1000));
    });
    expect(await u32sOf(device, last)).toEqual([1000]);
  });
});
