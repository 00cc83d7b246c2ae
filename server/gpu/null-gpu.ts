import { GPUBufferUsage } from '../../proto/gen/webgpu.js';

const { MAP_READ, COPY_DST } = GPUBufferUsage;

/**
 * Has the null backend's buffers begin with zeros, as WebGPU wants. It leaves in them what their memory had before, of
 * this process, and executes nothing that would clear them; what is mapped when it is made, Dawn itself clears. Only what
 * can be mapped for reading is ever read.
 */
export function clearNullBuffers(gpu: GPU): void {
  extend(gpu, 'requestAdapter', (adapter) => {
    if (adapter) extend(adapter, 'requestDevice', clearBuffers);
  });
}

/** Has `then` called with what the method's promise resolves to, before anybody else has it. */
function extend<Name extends 'requestAdapter' | 'requestDevice', T>(
  object: { [name in Name]: (...args: never[]) => Promise<T> },
  name: Name,
  then: (value: T) => void,
): void {
  const method = object[name];
  object[name] = (...args) => {
    const promise = method.apply(object, args);
    // Where it fails it is the caller's.
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
    // What is not valid is for Dawn to refuse.
    if (!isRead || mappedAtCreation || size > device.limits.maxBufferSize) return make(descriptor);
    if (usage & COPY_DST && size % 4 !== 0) {
      const buffer = make(descriptor);
      device.queue.writeBuffer(buffer, 0, new Uint8Array(size - (size % 4)));
      return buffer;
    }
    // Nothing can be written to what is only read, so a few bytes more make no difference there.
    const buffer = make({ ...descriptor, size: Math.ceil(size / 4) * 4, mappedAtCreation: true });
    buffer.unmap();
    return buffer;
  };
}
