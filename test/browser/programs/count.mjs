// Adds 1 to each of 1024 numbers on the GPU, `times` times, and reads them back after each.
import { close, create } from '/farlight.js';

const SHADER = `
@group(0) @binding(0) var<storage, read_write> numbers: array<u32>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  numbers[id.x] += 1;
}
`;
const COUNT = 1024;

/** @returns the first and the last number after each time. */
export default async function main(options, times) {
  const gpu = create(options);
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const { GPUBufferUsage, GPUMapMode } = (await import('/farlight.js')).globals;
  const buffer = (usage) => device.createBuffer({ size: 4 * COUNT, usage });
  const numbers = buffer(GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const copy = buffer(GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ);
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: SHADER }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: numbers } }],
  });
  const seen = [];
  for (let time = 0; time < times; time += 1) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(COUNT / 64);
    pass.end();
    encoder.copyBufferToBuffer(numbers, 0, copy, 0, 4 * COUNT);
    device.queue.submit([encoder.finish()]);
    await copy.mapAsync(GPUMapMode.READ);
    const values = new Uint32Array(copy.getMappedRange());
    seen.push([values[0], values[COUNT - 1]]);
    copy.unmap();
    globalThis.counted = time + 1;
  }
  close(gpu);
  return seen;
}
