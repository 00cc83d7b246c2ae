// The cost of a call. The program records a compute pass of seven calls (begin, pipeline, bind group, dispatch, end,
// finish, submit) many times. It measures the time of the program's own thread for a pass, and the time until the GPU has
// finished the pass.
import { median, openDevice, report, times } from './report.mjs';

const PASSES = 500;
const device = await openDevice();
const buffer = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE });
const module = device.createShaderModule({
  code: '@group(0) @binding(0) var<storage, read_write> a: array<u32>; @compute @workgroup_size(1) fn main() { a[0] += 1; }',
});
const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
const group = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer } }],
});

const encode = [];
const total = await times(7, 8, async () => {
  const start = performance.now();
  for (let index = 0; index < PASSES; index += 1) {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
  encode.push(performance.now() - start);
  await device.queue.onSubmittedWorkDone();
});
report({ encodeUs: (median(encode.slice(8)) / PASSES) * 1000, doneUs: (median(total) / PASSES) * 1000 });
