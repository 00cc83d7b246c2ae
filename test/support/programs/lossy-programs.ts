import { globals } from '#farlight/client/index.js';
import { seeded } from '../random/seeded.js';

const { GPUBufferUsage, GPUMapMode } = globals;
const WORDS = 64;

/** Each word depends on all that was applied to it before: one command lost or repeated changes it for good. */
const STEP = `
@group(0) @binding(0) var<storage, read_write> state: array<u32>;
@group(0) @binding(1) var<storage, read> upload: array<u32>;
@compute @workgroup_size(${WORDS}) fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  state[at] = state[at] * 1664525u + upload[at] + 1013904223u;
}`;

/**
 * Uploads, computes and reads back `steps` times, seeded; resolves to every word that was read. Each step reads two
 * buffers one after the other, the second of which comes ahead.
 */
export async function countExactly(gpu: GPU, steps: number, onStep?: () => void): Promise<Uint32Array> {
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  const size = 4 * WORDS;
  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const state = device.createBuffer({ size, usage: STORAGE | COPY_SRC });
  const upload = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
  const read = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
  const module = device.createShaderModule({ code: STEP });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = [state, upload].map((buffer, binding) => ({ binding, resource: { buffer } }));
  const bindGroup = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  const random = seeded(99);
  const results = new Uint32Array(2 * steps * WORDS);
  for (let step = 0; step < steps; step++) {
    onStep?.();
    const words = Uint32Array.from({ length: WORDS }, () => random() * 2 ** 32);
    device.queue.writeBuffer(upload, 0, words);
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(state, 0, read, 0, size);
    device.queue.submit([encoder.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    results.set(new Uint32Array(read.getMappedRange()), 2 * step * WORDS);
    read.unmap();
    const second = device.createCommandEncoder();
    second.copyBufferToBuffer(upload, 0, read, 0, size);
    device.queue.submit([second.finish()]);
    await read.mapAsync(GPUMapMode.READ);
    results.set(new Uint32Array(read.getMappedRange()), (2 * step + 1) * WORDS);
    read.unmap();
  }
  device.destroy();
  return results;
}
