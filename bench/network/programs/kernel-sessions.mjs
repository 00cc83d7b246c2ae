// URL SESSIONS SECONDS: opens the sessions, waits for a line, and runs a small kernel on each for this long,
// over and over. Prints how many times each session did.
import { once } from 'node:events';
import { create, globals } from '../../../dist/bundle/client/index.js';

const [url, sessions, seconds] = process.argv.slice(2);
const { GPUBufferUsage } = globals;
const CODE =
  '@group(0) @binding(0) var<storage, read_write> a: array<u32>; @compute @workgroup_size(1) fn main() { a[0] += 1; }';

const kernels = [];
for (let session = 0; session < Number(sessions); session += 1) kernels.push(await openKernel());
console.log(JSON.stringify({ ready: true }));
await once(process.stdin, 'data');

const end = performance.now() + Number(seconds) * 1000;
const steps = await Promise.all(
  kernels.map(async (run) => {
    let count = 0;
    for (; performance.now() < end; count += 1) await run();
    return count;
  }),
);
console.log(JSON.stringify({ steps }));
process.exit();

async function openKernel() {
  const device = await (await create({ host: url }).requestAdapter()).requestDevice();
  const buffer = device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE });
  const pipeline = device.createComputePipeline({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code: CODE }) },
  });
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const run = async () => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(1);
    pass.end();
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
  await run();
  return run;
}
