import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import * as support from './support.js';
import { COPY_DST, COPY_SRC, MAP_READ, READ, STORAGE, UNIFORM, u32sOf } from './support.js';

const collect = collector();

/** The runtime's own collector. Deno offers Node's way to it. */
function collector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(force: boolean): void } };
  if (Bun) return () => Bun.gc(true);
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc');
}

/** Collects unreachable objects, runs their finalizers, and lets the host learn of it. */
async function forget(device: GPUDevice): Promise<void> {
  for (let round = 0; round < 2; round++) {
    collect();
    await pause(1);
    await device.queue.onSubmittedWorkDone();
  }
}

const code = `
  @group(0) @binding(0) var<storage, read_write> out: u32;
  @group(0) @binding(1) var<uniform> value: u32;
  @compute @workgroup_size(1) fn main() { out = value; }`;

describe('unreachable objects', () => {
  parity('unreachable objects live on in the bind group and pipeline that use them', async ({ device }) => {
    const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
    const make = () => {
      const module = device.createShaderModule({ code });
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
      const value = support.bufferOf(device, UNIFORM, Uint32Array.of(5));
      return { pipeline, group: support.bindGroup(device, pipeline, [out, value]) };
    };
    const { pipeline, group } = make();
    await forget(device);
    device.queue.submit([support.dispatch(device, pipeline, group)]);
    expect(await u32sOf(device, out)).toEqual([5]);
  });

  parity('unreachable objects live on in the commands that use them', async ({ device }) => {
    const out = device.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
    const make = () => {
      const module = device.createShaderModule({ code });
      const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
      const value = support.bufferOf(device, UNIFORM, Uint32Array.of(6));
      return support.dispatch(device, pipeline, support.bindGroup(device, pipeline, [out, value]));
    };
    const commands = make();
    await forget(device);
    device.queue.submit([commands]);
    expect(await u32sOf(device, out)).toEqual([6]);
  });

  parity('unreachable objects live on in an encoder that is not finished yet', async ({ device }) => {
    const out = device.createBuffer({ size: 4, usage: COPY_DST | COPY_SRC });
    const encoder = device.createCommandEncoder();
    const copy = () =>
      encoder.copyBufferToBuffer(support.bufferOf(device, COPY_SRC, Uint32Array.of(7)), 0, out, 0, 4);
    copy();
    await forget(device);
    device.queue.submit([encoder.finish()]);
    expect(await u32sOf(device, out)).toEqual([7]);
  });

  parity('unreachable objects live on in the layouts that use them', async ({ device, valid }) => {
    const make = () => {
      const entries = [{ binding: 0, visibility: support.COMPUTE, buffer: {} }];
      const bindGroupLayout = device.createBindGroupLayout({ entries });
      return device.createPipelineLayout({ bindGroupLayouts: [bindGroupLayout] });
    };
    const layout = make();
    await forget(device);
    const module = device.createShaderModule({
      code: '@group(0) @binding(0) var<uniform> v: u32; @compute @workgroup_size(1) fn main() { _ = v; }',
    });
    await valid(() => device.createComputePipeline({ layout, compute: { module } }));
  });

  parity('promises of unreachable objects settle', async ({ device }) => {
    const asked = [
      device.createBuffer({ size: 4, usage: MAP_READ }).mapAsync(READ),
      device.createShaderModule({ code }).getCompilationInfo(),
    ];
    collect();
    const settled = await Promise.all(asked);
    expect(settled.length).toBe(2);
  });

  parity('an unreachable device keeps its queue and events working', async ({ newDevice }) => {
    const events: string[] = [];
    const make = async () => {
      const device = await newDevice();
      device.addEventListener('uncapturederror', (event) => {
        event.preventDefault();
        events.push(event.type);
      });
      return device.queue;
    };
    const queue = await make();
    collect();
    await pause(1);
    queue.submit([]);
    expect(await queue.onSubmittedWorkDone()).toBeUndefined();
    expect(events).toEqual([]);
  });
});
