// A program for tests of what shows a host: it does STEPS steps, each a write, a submit and a read of the result, with
// PAUSE milliseconds between them, and prints its ledger as a line of JSON. With `stay` it ends when there is something
// on stdin, and prints its ledger again when that has changed; with `forever` it takes steps until then.
// Usage: node step-program.mjs STEPS [PAUSE] [stay|forever]
import { stats } from 'farlight';

const [steps = '5', pause = '0', stay] = process.argv.slice(2);
const SIZE = 65536;

let ended = false;
const end = new Promise((resolve) => {
  if (!stay) return;
  process.stdin.once('data', () => {
    ended = true;
    process.stdin.destroy();
    resolve();
  });
});

const adapter = await navigator.gpu.requestAdapter();
const device = await adapter.requestDevice();
const module = device.createShaderModule({
  code: `@group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { data[id.x] = data[id.x] * 2u; }`,
});
const pipeline = device.createComputePipeline({ label: 'double', layout: 'auto', compute: { module } });
const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
const data = device.createBuffer({ size: SIZE, usage: STORAGE | COPY_SRC | COPY_DST });
const result = device.createBuffer({ label: 'result', size: SIZE, usage: COPY_DST | MAP_READ });
const group = device.createBindGroup({
  layout: pipeline.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: data } }],
});
const input = new Uint32Array(SIZE / 4);

for (let step = 0; stay === 'forever' ? !ended : step < Number(steps); step += 1) {
  device.queue.writeBuffer(data, 0, input.fill(step));
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(SIZE / 4 / 64);
  pass.end();
  encoder.copyBufferToBuffer(data, 0, result, 0, SIZE);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  result.unmap();
  if (Number(pause) > 0) await new Promise((resolve) => setTimeout(resolve, Number(pause)));
}
// Until nothing is on its way, so that the host has counted the same.
await device.queue.onSubmittedWorkDone();
let told = '';
const tell = () => {
  const ledger = JSON.stringify(stats(navigator.gpu));
  if (ledger !== told) console.log(ledger);
  told = ledger;
};
tell();
if (stay) {
  // A last acknowledgement may go out later, and so may the word of what was collected.
  const again = setInterval(tell, 200);
  await end;
  clearInterval(again);
}
