import { describe, expect } from 'vitest';
import { parity, type Subject } from './fixture.js';
import { bindGroup, bufferOf, COPY_DST, COPY_SRC, dispatch, STORAGE, u32sOf } from './support.js';

/** A device of another GPU: on Farlight, of another session. */
async function another({ newGpu }: Subject): Promise<GPUDevice> {
  const adapter = await (await newGpu()).requestAdapter();
  return (adapter as GPUAdapter).requestDevice();
}

/** `act` raises a validation error. Farlight's message has no counterpart in Dawn. */
async function refused({ scoped, globals }: Subject, act: () => unknown): Promise<void> {
  expect(await scoped('validation', act)).toBeInstanceOf(globals.GPUValidationError);
}

const code = `
  @group(0) @binding(0) var<storage, read_write> out: u32;
  @compute @workgroup_size(1) fn main() { out = 1u; }`;

function pipelineOf(device: GPUDevice): GPUComputePipeline {
  const module = device.createShaderModule({ code });
  return device.createComputePipeline({ layout: 'auto', compute: { module } });
}

describe('objects of another GPU', () => {
  parity('objects of another GPU are validation errors, and are not mistaken for ours', async (t) => {
    const { device } = t;
    const other = await another(t);
    // Made in the same order on both sides, so that their numbers would be equal, too.
    const make = (each: GPUDevice) => bufferOf(each, COPY_SRC | COPY_DST, Uint32Array.of(1));
    const [mine, theirs] = [make(device), make(other)];
    await refused(t, () => device.queue.writeBuffer(theirs, 0, Uint32Array.of(2)));
    const foreign = other.createCommandEncoder().finish();
    await refused(t, () => device.queue.submit([foreign]));
    expect(await u32sOf(device, mine)).toEqual([1]);
    expect(await u32sOf(other, theirs)).toEqual([1]);
    other.destroy();
  });

  parity('an encoded object of another GPU is an error of finish', async (t) => {
    const theirs = (await another(t)).createBuffer({ size: 4, usage: COPY_DST });
    const encoder = t.device.createCommandEncoder();
    await t.valid(() => encoder.clearBuffer(theirs));
    await refused(t, () => encoder.finish());
  });

  parity('an object of another GPU in a pass is an error of finish', async (t) => {
    const theirs = pipelineOf(await another(t));
    const encoder = t.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    await t.valid(() => pass.setPipeline(theirs));
    pass.end();
    await refused(t, () => encoder.finish());
  });

  parity('an object of another GPU in a descriptor is a validation error', async (t) => {
    const { device } = t;
    const other = await another(t);
    const [mine, theirs] = [pipelineOf(device), pipelineOf(other)];
    const descriptor = { size: 4, usage: STORAGE };
    await refused(t, () => bindGroup(device, theirs, [device.createBuffer(descriptor)]));
    await refused(t, () => bindGroup(device, mine, [other.createBuffer(descriptor)]));
    const module = other.createShaderModule({ code });
    await refused(t, () => device.createComputePipeline({ layout: 'auto', compute: { module } }));
    other.destroy();
  });

  parity('objects of another GPU work on their own device', async (t) => {
    const other = await another(t);
    const pipeline = pipelineOf(other);
    const out = other.createBuffer({ size: 4, usage: STORAGE | COPY_SRC });
    other.queue.submit([dispatch(other, pipeline, bindGroup(other, pipeline, [out]))]);
    expect(await u32sOf(other, out)).toEqual([1]);
    other.destroy();
  });
});
