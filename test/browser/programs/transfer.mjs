// Sends `size` bytes to the GPU in one call, and reads them back.
import { close, create, globals } from '/farlight.js';

const { GPUBufferUsage, GPUMapMode } = globals;

/** @returns whether they are equal, and the milliseconds of each way. */
export default async function main(host, size) {
  const gpu = create({ host });
  const device = await (await gpu.requestAdapter()).requestDevice();
  const sent = new Uint32Array(size / 4);
  for (let at = 0; at < sent.length; at += 1) sent[at] = Math.imul(at, 2654435761);
  const buffer = device.createBuffer({
    size,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  const copy = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const start = performance.now();
  device.queue.writeBuffer(buffer, 0, sent);
  const blocked = performance.now();
  await device.queue.onSubmittedWorkDone();
  const up = performance.now();
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, size);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ);
  const down = performance.now();
  const got = new Uint32Array(copy.getMappedRange());
  const same = sent.every((value, at) => value === got[at]);
  close(gpu);
  return { same, blockedMs: blocked - start, upMs: up - start, downMs: down - up };
}
