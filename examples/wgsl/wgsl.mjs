// One shader: how many steps each number takes to 1, if an even number is halved, and an odd one becomes
// three times itself plus one. This program has no code for Farlight: it runs on any GPU that `navigator.gpu`
// has, here or elsewhere.
//
//   farlight run -- node wgsl.mjs
import { reportDifference } from '../support/compare.mjs';

const COUNT = 4096;
const WORKGROUP = 64;
const CODE = /* wgsl */ `
  @group(0) @binding(0) var<storage, read_write> values: array<u32>;

  @compute @workgroup_size(${WORKGROUP})
  fn main(@builtin(global_invocation_id) id: vec3u) {
    if (id.x >= arrayLength(&values)) { return; }
    var n = values[id.x];
    var steps = 0u;
    while (n > 1u) {
      n = select(n / 2u, 3u * n + 1u, n % 2u == 1u);
      steps++;
    }
    values[id.x] = steps;
  }
`;

const adapter = await navigator.gpu?.requestAdapter();
if (!adapter) {
  console.error('This program needs a GPU: navigator.gpu has no adapter.');
  process.exit(1);
}
const device = await adapter.requestDevice();
const numbers = Uint32Array.from({ length: COUNT }, (_, at) => at + 1);

const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const size = numbers.byteLength;
const values = device.createBuffer({ size, usage: STORAGE | COPY_SRC | COPY_DST });
const result = device.createBuffer({ size, usage: MAP_READ | COPY_DST });
device.queue.writeBuffer(values, 0, numbers);

const module = device.createShaderModule({ code: CODE });
const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
const group = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: values } }],
});

const encoder = device.createCommandEncoder();
const pass = encoder.beginComputePass();
pass.setPipeline(pipeline);
pass.setBindGroup(0, group);
pass.dispatchWorkgroups(Math.ceil(COUNT / WORKGROUP));
pass.end();
encoder.copyBufferToBuffer(values, result);
device.queue.submit([encoder.finish()]);

await result.mapAsync(GPUMapMode.READ);
const steps = new Uint32Array(result.getMappedRange().slice(0));
result.unmap();
device.destroy();

const longest = steps.indexOf(steps.reduce((most, each) => Math.max(most, each)));
console.log(`Of the numbers up to ${COUNT}, ${numbers[longest]} takes longest: ${steps[longest]} steps`);
reportDifference(steps, numbers.map(stepsOnTheCpu), 1);

function stepsOnTheCpu(number) {
  let steps = 0;
  for (let n = number; n > 1; n = n % 2 === 1 ? 3 * n + 1 : n / 2) steps++;
  return steps;
}
