// How much a host with `--park` costs a program that is never parked: 100 dispatches with 100 new bind groups a step, on
// the null adapter, which computes nothing.
//
//   node bench/park.mjs [--pairs N] [--steps N]
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { close, create } from '../dist/client/index.js';
import { Daemon } from '../dist/server/daemon.js';

const { values: flags } = parseArgs({
  options: { pairs: { type: 'string', default: '20' }, steps: { type: 'string', default: '200' } },
});
const [pairs, steps] = [Number(flags.pairs), Number(flags.steps)];
const STORAGE = 0x80;
const UNIFORM = 0x40;
const DISPATCHES = 100;

const root = mkdtempSync(join(tmpdir(), 'farlight-bench-park-'));
const parking = { root: join(root, 'parked'), idleMs: 3_600_000 };
const log = Object.fromEntries(['debug', 'info', 'warn', 'error'].map((level) => [level, () => {}]));
const sides = [];
for (const options of [{}, { parking }]) {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', log, ...options });
  const gpu = create({ host: daemon.url });
  sides.push({ daemon, gpu, step: await program(gpu), times: [] });
}
for (const { step } of sides) await measure(step);
for (let pair = 0; pair < pairs; pair += 1) {
  const order = pair % 2 === 0 ? sides : sides.toReversed();
  for (const { step, times } of order) times.push(await measure(step));
}
const [plain, parks] = sides.map(({ times }) => times.toSorted((a, b) => a - b)[times.length >> 1]);
const ratios = sides[0].times.map((ms, at) => sides[1].times[at] / ms).toSorted((a, b) => a - b);
console.log(
  `a step of ${DISPATCHES} dispatches with new bind groups: ${plain.toFixed(3)} ms, with --park ${parks.toFixed(3)} ms; ` +
    `${ratios[ratios.length >> 1].toFixed(3)} times as long (median of ${pairs} interleaved pairs, ${ratios[0].toFixed(2)} to ${ratios.at(-1).toFixed(2)})`,
);
for (const { gpu, daemon } of sides) {
  close(gpu);
  await daemon.close();
}
rmSync(root, { recursive: true });

/** A step of a program: it makes bind groups, dispatches with each, and waits. */
async function program(gpu) {
  const device = await (await gpu.requestAdapter()).requestDevice();
  const module = device.createShaderModule({
    code: `
      @group(0) @binding(0) var<storage, read> a: array<f32>;
      @group(0) @binding(1) var<storage, read_write> b: array<f32>;
      @group(0) @binding(2) var<uniform> c: vec4f;
      @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { b[id.x] = a[id.x] + c.x; }
    `,
  });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const layout = pipeline.getBindGroupLayout(0);
  const buffers = Array.from({ length: 400 }, () => device.createBuffer({ size: 256, usage: STORAGE }));
  const uniforms = Array.from({ length: 37 }, () => device.createBuffer({ size: 16, usage: UNIFORM }));
  let next = 0;
  return async () => {
    const encoder = device.createCommandEncoder();
    for (let at = 0; at < DISPATCHES; at += 1) {
      next += 1;
      const resources = [buffers[next % 200], buffers[200 + ((next * 7) % 199)], uniforms[next % 37]];
      const entries = resources.map((buffer, binding) => ({ binding, resource: { buffer } }));
      const group = device.createBindGroup({ layout, entries });
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(4);
      pass.end();
    }
    device.queue.submit([encoder.finish()]);
    await device.queue.onSubmittedWorkDone();
  };
}

/** Milliseconds of one step. */
async function measure(step) {
  const begun = performance.now();
  for (let at = 0; at < steps; at += 1) await step();
  return (performance.now() - begun) / steps;
}
