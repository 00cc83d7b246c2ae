import { GPUBufferUsage } from '../../proto/gen/webgpu.js';

const { MAP_READ, COPY_DST } = GPUBufferUsage;

/**
 * Makes the null backend's buffers begin with zeros, as WebGPU requires. The backend leaves old memory of this process in
 * them, and executes nothing that would clear them. Dawn itself clears a buffer that is mapped at creation. Only buffers
 * that can be mapped for reading are ever read.
 */
export function clearNullBuffers(gpu: GPU): void {
  extend(gpu, 'requestAdapter', (adapter) => {
    if (adapter) extend(adapter, 'requestDevice', clearBuffers);
  });
}

/** Calls `then` with the value of the method's promise, before the caller of the method gets it. */
function extend<Name extends 'requestAdapter' | 'requestDevice', T>(
  object: { [name in Name]: (...args: never[]) => Promise<T> },
  name: Name,
  then: (value: T) => void,
): void {
  const method = object[name];
  object[name] = (...args) => {
    const promise = method.apply(object, args);
    // A rejection is for the caller of the method.
    promise.then(then, () => {});
    return promise;
  };
}

function clearBuffers(device: GPUDevice): void {
  const { createBuffer } = device;
  const make = (descriptor: GPUBufferDescriptor) => createBuffer.call(device, descriptor);
  device.createBuffer = (descriptor) => {
    const { size, usage, mappedAtCreation } = descriptor;
    const isRead = usage === MAP_READ || usage === (MAP_READ | COPY_DST);
    // Dawn refuses an invalid buffer.
    if (!isRead || mappedAtCreation || size > device.limits.maxBufferSize) return make(descriptor);
    if (usage & COPY_DST && size % 4 !== 0) {
      const buffer = make(descriptor);
      device.queue.writeBuffer(buffer, 0, new Uint8Array(size - (size % 4)));
      return buffer;
    }
    // Nothing can write to a buffer that is only read, so a few bytes more make no difference.
    const buffer = make({ ...descriptor, size: Math.ceil(size / 4) * 4, mappedAtCreation: true });
    buffer.unmap();
    return buffer;
  };
}
