const CODE = `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) at: vec3u) { data[at.x] *= 3; }`;

/** By device, the buffer that is tripled. */
const kept = new WeakMap();

/** 1, 2, 3 and 4, each times 3, as a GPU computes it. Takes WebGPU's constants from the globals. */
export async function tripled(device) {
  const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  const data = device.createBuffer({ size: 16, usage: STORAGE | COPY_SRC | COPY_DST });
  device.queue.writeBuffer(data, 0, Uint32Array.of(1, 2, 3, 4));
  kept.set(device, data);
  return tripledAgain(device);
}

/** What `tripled` has left in the GPU's memory, each times 3 once more. */
export async function tripledAgain(device) {
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const data = kept.get(device);
  const result = device.createBuffer({ size: 16, usage: COPY_DST | MAP_READ });
  const module = device.createShaderModule({ code: CODE });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = [{ binding: 0, resource: { buffer: data } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(data, 0, result, 0, 16);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  return new Uint32Array(result.getMappedRange());
}
