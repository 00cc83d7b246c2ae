// A program that does with its GPU what its standard input says, a line each, and answers each with a line when it is done:
// `compute` asks for a device, computes, and keeps the device; `drop` destroys it; `close` closes the GPU.
import { createInterface } from 'node:readline';
import { close, create } from '#farlight/client/index.js';

const gpu = create();
const devices = [];

for await (const line of createInterface({ input: process.stdin })) void answer(line);

async function answer(line) {
  try {
    console.log(await { compute, drop, close: async () => close(gpu) ?? 'closed' }[line]());
  } catch (error) {
    console.log(`${error.name}: ${error.message}`);
  }
}

async function compute() {
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice();
  devices.push(device);
  const code = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { data[id.x] *= 3; }`;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const data = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });
  const result = device.createBuffer({ size: 16, usage: COPY_DST | MAP_READ });
  device.queue.writeBuffer(data, 0, new Uint32Array([1, 2, 3, 4]));
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const layout = pipeline.getBindGroupLayout(0);
  const bindGroup = device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer: data } }] });
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, bindGroup);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(data, 0, result, 0, 16);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  return new Uint32Array(result.getMappedRange()).join(' ');
}

async function drop() {
  for (const device of devices.splice(0)) device.destroy();
  return 'dropped';
}
