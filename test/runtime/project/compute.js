const CODE = `
  @group(0) @binding(0) var<uniform> given: u32;
  @group(0) @binding(1) var<storage, read_write> result: array<u32>;
  @compute @workgroup_size(1) fn main() { result[0] = given + 1; }
`;

/** Has the GPU compute 41 + 1, with bytes of this realm in every form in which WebGPU takes them. */
export async function compute(gpu) {
  const device = await (await gpu.requestAdapter()).requestDevice();
  const { UNIFORM, STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const given = device.createBuffer({ size: 260, usage: UNIFORM | COPY_DST });
  const storage = device.createBuffer({ size: 2 << 20, usage: STORAGE | COPY_SRC });
  const result = device.createBuffer({ size: 2 << 20, usage: COPY_DST | MAP_READ });
  const visibility = GPUShaderStage.COMPUTE;
  const layout = device.createBindGroupLayout({
    entries: [
      { binding: 0, visibility, buffer: { hasDynamicOffset: true } },
      { binding: 1, visibility, buffer: { type: 'storage' } },
    ],
  });
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: { module: device.createShaderModule({ code: CODE }) },
  });
  const group = device.createBindGroup({
    layout,
    entries: [
      { binding: 0, resource: { buffer: given, size: 4 } },
      { binding: 1, resource: { buffer: storage } },
    ],
  });
  device.queue.writeBuffer(given, 256, new Uint32Array([41]).buffer);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group, new Uint32Array([7, 256]), 1, 1);
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(storage, 0, result, 0, 2 << 20);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  const range = result.getMappedRange();
  const sum = new Uint32Array(range)[0];
  const isArrayBuffer = range instanceof ArrayBuffer;
  device.destroy();
  const refused = await result.mapAsync(GPUMapMode.READ).catch((error) => error.name);
  return { sum, isArrayBuffer, refused };
}
