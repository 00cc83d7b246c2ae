// Counts the bytes of a file by their value, on the GPU. Its default export is called for each file of a batch: the
// device is asked for once.
//
//   farlight job submit examples/jobs/letters.yaml --wait
import { readFileSync } from 'node:fs';

const SHADER = `
@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> counts: array<atomic<u32>, 256>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&words)) { return; }
  for (var at = 0u; at < 4; at++) {
    atomicAdd(&counts[(words[id.x] >> (8 * at)) & 0xff], 1);
  }
}`;

const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) throw new Error('This program needs a GPU: navigator.gpu has no adapter.');
const device = await adapter.requestDevice();
const pipeline = await device.createComputePipelineAsync({
  layout: 'auto',
  compute: { module: device.createShaderModule({ code: SHADER }) },
});
const { COPY_SRC, COPY_DST, MAP_READ, STORAGE } = GPUBufferUsage;

export default async function countLetters(file) {
  const bytes = readFileSync(file);
  const padded = new Uint8Array(Math.max(4, Math.ceil(bytes.length / 4) * 4));
  padded.set(bytes);
  const words = device.createBuffer({ size: padded.length, usage: STORAGE | COPY_DST });
  const counts = device.createBuffer({ size: 1024, usage: STORAGE | COPY_SRC });
  const result = device.createBuffer({ size: 1024, usage: MAP_READ | COPY_DST });
  device.queue.writeBuffer(words, 0, padded);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [words, counts].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(padded.length / 4 / 64));
  pass.end();
  encoder.copyBufferToBuffer(counts, 0, result, 0, 1024);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  const found = Array.from(new Uint32Array(result.getMappedRange()));
  for (const buffer of [words, counts, result]) buffer.destroy();
  return Object.fromEntries([...'etaoin'].map((letter) => [letter, found[letter.charCodeAt(0)]]));
}
