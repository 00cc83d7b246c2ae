// A program that does what its standard input says, a line each: `wait`, `open`, or `steps COUNT`, which it times.
import { createInterface } from 'node:readline';
import { create, globals } from '../../dist/bundle/client/index.js';

const { GPUBufferUsage, GPUMapMode } = globals;

const gpu = create();
let step;

for await (const line of createInterface({ input: process.stdin })) {
  const [what, count] = line.split(' ');
  if (what === 'open') step = await opened();
  const began = performance.now();
  if (what === 'steps') for (let at = 0; at < Number(count); at += 1) await step();
  console.log(performance.now() - began);
}

/** A step writes four bytes, copies them, and reads them back: one wait for the host. */
async function opened() {
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const source = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const target = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  return async () => {
    device.queue.writeBuffer(source, 0, new Uint32Array([1]));
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(source, 0, target, 0, 4);
    device.queue.submit([encoder.finish()]);
    await target.mapAsync(GPUMapMode.READ);
    target.unmap();
  };
}
