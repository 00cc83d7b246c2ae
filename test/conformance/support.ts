import { expect } from 'vitest';

/** A buffer with these contents. */
export function bufferOf(
  device: GPUDevice,
  usage: GPUBufferUsageFlags,
  contents: ArrayBufferView,
): GPUBuffer {
  const buffer = device.createBuffer({ size: contents.byteLength, usage, mappedAtCreation: true });
  const bytes = new Uint8Array(contents.buffer, contents.byteOffset, contents.byteLength);
  new Uint8Array(buffer.getMappedRange()).set(bytes);
  buffer.unmap();
  return buffer;
}

/** The bytes of a buffer with COPY_SRC. */
export async function bytesOf(device: GPUDevice, buffer: GPUBuffer): Promise<Uint8Array> {
  const staging = device.createBuffer({ size: buffer.size, usage: COPY_DST | MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(READ);
  const bytes = new Uint8Array(staging.getMappedRange()).slice();
  staging.destroy();
  return bytes;
}

/** The u32 numbers of a buffer with COPY_SRC. */
export async function u32sOf(device: GPUDevice, buffer: GPUBuffer): Promise<number[]> {
  return [...new Uint32Array((await bytesOf(device, buffer)).buffer)];
}

/** The name of the exception that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<Error & { name: string }> {
  return promise.then(
    (value) => expect.fail(`the promise is resolved with ${String(value)}`),
    (reason) => reason,
  );
}

/** The exception that `act` throws. */
export function thrown(act: () => unknown): Error {
  let value: unknown;
  try {
    value = act();
  } catch (error) {
    return error as Error;
  }
  return expect.fail(`nothing is thrown, but ${String(value)} returned`);
}

// The constants of GPUBufferUsage and GPUMapMode. Another spec proves that every target has these values.
export const MAP_READ = 0x1;
export const MAP_WRITE = 0x2;
export const COPY_SRC = 0x4;
export const COPY_DST = 0x8;
export const INDEX = 0x10;
export const VERTEX = 0x20;
export const UNIFORM = 0x40;
export const STORAGE = 0x80;
export const INDIRECT = 0x100;
export const QUERY_RESOLVE = 0x200;
export const COMPUTE = 0x4;
export const READ = 0x1;
export const WRITE = 0x2;

/** Binds whole buffers to bindings 0, 1, ... of a group of the pipeline. */
export function bindGroup(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  buffers: GPUBuffer[],
  group = 0,
): GPUBindGroup {
  return device.createBindGroup({
    layout: pipeline.getBindGroupLayout(group),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
}

/** Commands that dispatch one workgroup. */
export function dispatch(
  device: GPUDevice,
  pipeline: GPUComputePipeline,
  ...groups: GPUBindGroup[]
): GPUCommandBuffer {
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  groups.forEach((group, index) => {
    pass.setBindGroup(index, group);
  });
  pass.dispatchWorkgroups(1);
  pass.end();
  return encoder.finish();
}
