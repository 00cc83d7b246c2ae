// URL awaited|at-once: writes 1 GiB in pieces of 64 MiB when it is told to, and goes on until it is ended.
import { once } from 'node:events';
import { create, globals } from '../../../dist/client/index.js';

const [url, way] = process.argv.slice(2);
const MIB = 1 << 20;
const [SIZE, PIECE] = [1024 * MIB, 64 * MIB];
const adapter = await create({ host: url }).requestAdapter();
const device = await adapter.requestDevice({ requiredLimits: { maxBufferSize: SIZE } });
const buffer = device.createBuffer({ size: SIZE, usage: globals.GPUBufferUsage.COPY_DST });
const data = new Uint8Array(PIECE).fill(7);
await device.queue.onSubmittedWorkDone();
console.log(JSON.stringify({ ready: true }));
await once(process.stdin, 'data');

for (let offset = 0; offset < SIZE; offset += PIECE) {
  // No two pieces are the same: a host that keeps contents would know them.
  data[0] = offset / PIECE;
  device.queue.writeBuffer(buffer, offset, data);
  if (way === 'awaited') await device.queue.onSubmittedWorkDone();
}
await device.queue.onSubmittedWorkDone();
