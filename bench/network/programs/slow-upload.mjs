// URL awaited|at-once: when told to, writes 1 GiB in pieces of 64 MiB, again and again until it is ended.
import { randomFillSync } from 'node:crypto';
import { once } from 'node:events';
import { create, globals } from '../../../dist/bundle/client/index.js';

const [url, way] = process.argv.slice(2);
const MIB = 1 << 20;
const PIECE = 64 * MIB;
const adapter = await create({ host: url }).requestAdapter();
const device = await adapter.requestDevice();
// The null adapter has no room for more buffers, so each is written twice.
const buffers = Array.from({ length: 2 }, () =>
  device.createBuffer({ size: 4 * PIECE, usage: globals.GPUBufferUsage.COPY_DST }),
);
// Random, since anything else would travel compressed.
const data = randomFillSync(new Uint8Array(PIECE));
await device.queue.onSubmittedWorkDone();
console.log(JSON.stringify({ ready: true }));
await once(process.stdin, 'data');

for (let piece = 0; piece < 16; piece += 1) {
  // Each piece differs: a host that keeps contents would recognize equal ones.
  data[0] = piece;
  device.queue.writeBuffer(buffers[(piece >> 2) % 2], (piece % 4) * PIECE, data);
  if (way === 'awaited') await device.queue.onSubmittedWorkDone();
}
await device.queue.onSubmittedWorkDone();
