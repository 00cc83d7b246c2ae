import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import {
  bindGroup,
  bufferOf,
  COMPUTE,
  COPY_DST,
  COPY_SRC,
  INDIRECT,
  STORAGE,
  thrown,
  u32sOf,
} from './support.js';

/** Notes in `out` the number of workgroups, and how many invocations ran. */
const counting = (device: GPUDevice) =>
  device.createComputePipeline({
    layout: 'auto',
    compute: {
      module: device.createShaderModule({
        code: `
          @group(0) @binding(0) var<storage, read_write> out: array<atomic<u32>, 4>;
          @compute @workgroup_size(1) fn main(@builtin(num_workgroups) groups: vec3u) {
            atomicStore(&out[0], groups.x);
            atomicStore(&out[1], groups.y);
            atomicStore(&out[2], groups.z);
            atomicAdd(&out[3], 1u);
          }`,
      }),
    },
  });

const counters = (device: GPUDevice) =>
  device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });

async function counted(
  device: GPUDevice,
  act: (pass: GPUComputePassEncoder, encoder: GPUCommandEncoder) => void,
): Promise<number[]> {
  const pipeline = counting(device);
  const out = counters(device);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup(device, pipeline, [out]));
  act(pass, encoder);
  pass.end();
  device.queue.submit([encoder.finish()]);
  return u32sOf(device, out);
}

/** Encodes a pass so that `finish` raises a validation error. */
async function refused(
  { device, invalid }: Subject,
  act: (pass: GPUComputePassEncoder, encoder: GPUCommandEncoder) => void,
): Promise<void> {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass({ label: 'pass' });
  act(pass, encoder);
  pass.end();
  await invalid(() => encoder.finish());
}

describe('GPUComputePassEncoder', () => {
  parity('dispatches the given workgroups, one by default', async ({ device }) => {
    expect(await counted(device, (pass) => pass.dispatchWorkgroups(2, 3, 4))).toEqual([2, 3, 4, 24]);
    expect(await counted(device, (pass) => pass.dispatchWorkgroups(5))).toEqual([5, 1, 1, 5]);
    expect(await counted(device, (pass) => pass.dispatchWorkgroups(2, undefined, 3))).toEqual([2, 1, 3, 6]);
  });

  parity('dispatching zero workgroups runs nothing', async ({ device }) => {
    expect(await counted(device, (pass) => pass.dispatchWorkgroups(0))).toEqual([0, 0, 0, 0]);
    expect(await counted(device, (pass) => pass.dispatchWorkgroups(3, 0, 3))).toEqual([0, 0, 0, 0]);
  });

  parity('all dispatches of a pass run', async ({ device }) => {
    const out = await counted(device, (pass) => {
      pass.dispatchWorkgroups(3);
      pass.dispatchWorkgroups(2);
    });
    expect(out).toEqual([2, 1, 1, 5]);
  });

  parity('an indirect dispatch reads its counts from a buffer at an offset', async ({ device }) => {
    const indirect = bufferOf(device, INDIRECT, Uint32Array.of(9, 2, 3, 1, 9));
    expect(await counted(device, (pass) => pass.dispatchWorkgroupsIndirect(indirect, 4))).toEqual([
      2, 3, 1, 6,
    ]);
  });

  parity('an indirect dispatch sees the writes of earlier commands', async ({ device }) => {
    const indirect = device.createBuffer({ size: 12, usage: INDIRECT | COPY_DST });
    device.queue.writeBuffer(indirect, 0, Uint32Array.of(1, 4, 1));
    expect(await counted(device, (pass) => pass.dispatchWorkgroupsIndirect(indirect, 0))).toEqual([
      1, 4, 1, 4,
    ]);
  });

  parity('a pass sees the writes of the pass before', async ({ device }) => {
    const code = `
      @group(0) @binding(0) var<storage, read_write> value: u32;
      @compute @workgroup_size(1) fn main() { value = value * 3u + 1u; }`;
    const module = device.createShaderModule({ code });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
    const group = bindGroup(device, pipeline, [out]);
    const encoder = device.createCommandEncoder();
    for (let round = 0; round < 2; round++) {
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(1);
      pass.dispatchWorkgroups(1);
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
    expect(await u32sOf(device, out)).toEqual([40]);
  });

  parity('a pass has the label of its descriptor', ({ device, globals }) => {
    const pass = device.createCommandEncoder().beginComputePass({ label: 'pass' });
    expect(pass).toBeInstanceOf(globals.GPUComputePassEncoder);
    expect(pass.label).toBe('pass');
  });

  parity('an empty pass is valid, with or without a descriptor', async ({ device, valid }) => {
    await valid(() => {
      const encoder = device.createCommandEncoder();
      encoder.beginComputePass().end();
      encoder.beginComputePass({}).end();
      encoder.beginComputePass(undefined).end();
      device.queue.submit([encoder.finish()]);
    });
  });

  parity('a group set to null is not bound', async (t) => {
    const pipeline = counting(t.device);
    const group = bindGroup(t.device, pipeline, [counters(t.device)]);
    await refused(t, (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.setBindGroup(0, null);
      pass.dispatchWorkgroups(1);
    });
  });

  parity('setBindGroup takes null and undefined for any group', async ({ device }) => {
    const out = await counted(device, (pass) => {
      pass.setBindGroup(1, null);
      pass.setBindGroup(2, undefined);
      pass.dispatchWorkgroups(1);
    });
    expect(out).toEqual([1, 1, 1, 1]);
  });
});

describe('errors of a GPUComputePassEncoder', () => {
  parity('a dispatch without a pipeline is a validation error', async (t) => {
    await refused(t, (pass) => pass.dispatchWorkgroups(1));
  });

  parity('a dispatch without its bind group is a validation error', async (t) => {
    await refused(t, (pass) => {
      pass.setPipeline(counting(t.device));
      pass.dispatchWorkgroups(1);
    });
  });

  parity('a bind group of another layout is a validation error', async (t) => {
    const layout = t.device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: COMPUTE, buffer: { type: 'storage' } }],
    });
    const entries = [{ binding: 0, resource: { buffer: counters(t.device) } }];
    await refused(t, (pass) => {
      pass.setPipeline(counting(t.device));
      pass.setBindGroup(0, t.device.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(1);
    });
  });

  parity('more workgroups than the limit are a validation error', async (t) => {
    const pipeline = counting(t.device);
    const group = bindGroup(t.device, pipeline, [counters(t.device)]);
    await refused(t, (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(t.device.limits.maxComputeWorkgroupsPerDimension + 1);
    });
  });

  parity('a group index at the limit is a validation error', async (t) => {
    const group = bindGroup(t.device, counting(t.device), [counters(t.device)]);
    await refused(t, (pass) => pass.setBindGroup(t.device.limits.maxBindGroups, group));
  });

  parity(
    'an indirect dispatch beyond the buffer, unaligned, or without INDIRECT is a validation error',
    async (t) => {
      const pipeline = counting(t.device);
      const group = bindGroup(t.device, pipeline, [counters(t.device)]);
      const indirect = t.device.createBuffer({ size: 16, usage: INDIRECT });
      for (const [buffer, offset] of [
        [indirect, 8],
        [indirect, 2],
        [counters(t.device), 0],
      ] as const) {
        await refused(t, (pass) => {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, group);
          pass.dispatchWorkgroupsIndirect(buffer, offset);
        });
      }
    },
  );

  parity('a buffer bound twice for writing is a validation error', async (t) => {
    const { device } = t;
    const module = device.createShaderModule({
      code: `
        @group(0) @binding(0) var<storage, read> input: u32;
        @group(0) @binding(1) var<storage, read_write> out: u32;
        @compute @workgroup_size(1) fn main() { out = input; }`,
    });
    const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
    const both = device.createBuffer({ size: 4, usage: STORAGE, label: 'both' });
    await refused(t, (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup(device, pipeline, [both, both]));
      pass.dispatchWorkgroups(1);
    });
  });

  parity('a pass that is not ended is an error of finish', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    encoder.beginComputePass();
    await invalid(() => encoder.finish());
  });

  parity('two open passes are an error of finish', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    const first = encoder.beginComputePass();
    encoder.beginComputePass().end();
    first.end();
    await invalid(() => encoder.finish());
  });

  parity('the encoder is locked while a pass is open', async (t) => {
    const buffer = counters(t.device);
    await refused(t, (_, encoder) => encoder.clearBuffer(buffer));
  });

  parity('ending a pass twice is a validation error at once', async ({ device, invalid }) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.end();
    await invalid(() => pass.end());
  });

  parity('using a pass after its end is a validation error', async ({ device, globals, scoped, observe }) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.end();
    const atOnce = await scoped('validation', () => pass.dispatchWorkgroups(1));
    const atFinish = await scoped('validation', () => encoder.finish());
    // The specification raises it at once; Dawn only when the encoder is finished.
    expect(atOnce ?? atFinish).toBeInstanceOf(globals.GPUValidationError);
    observe('errors', [atOnce?.message ?? null, atFinish?.message ?? null]);
  });

  parity('debug groups of a pass must be closed in the pass', async (t) => {
    await refused(t, (pass) => pass.pushDebugGroup('open'));
    await refused(t, (pass) => pass.popDebugGroup());
    await refused(t, (pass, encoder) => {
      encoder.pushDebugGroup('outside');
      pass.popDebugGroup();
    });
  });

  parity("another device's pipeline, group or buffer is a validation error", async (t) => {
    const other = await t.newDevice();
    const foreign = counting(other);
    await refused(t, (pass) => pass.setPipeline(foreign));
    await refused(t, (pass) => pass.setBindGroup(0, bindGroup(other, foreign, [counters(other)])));
    const pipeline = counting(t.device);
    const group = bindGroup(t.device, pipeline, [counters(t.device)]);
    await refused(t, (pass) => {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroupsIndirect(other.createBuffer({ size: 12, usage: INDIRECT }), 0);
    });
  });

  parity('a number or object of the wrong type throws a TypeError', ({ device }) => {
    const pass = device.createCommandEncoder().beginComputePass();
    expect(thrown(() => pass.setPipeline({} as never))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.setPipeline(null as never))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.setBindGroup(0, {} as never))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.setBindGroup(-1, null))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.dispatchWorkgroups(-1))).toBeInstanceOf(TypeError);
    expect(thrown(() => pass.dispatchWorkgroups(2 ** 32))).toBeInstanceOf(TypeError);
    expect(thrown(() => (pass.dispatchWorkgroups as () => void)())).toBeInstanceOf(TypeError);
    pass.end();
  });
});
