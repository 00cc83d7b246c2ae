// A program whose host goes away for good: prints what it saw, as JSON, and ends by itself. Its argument is the
// host's address; it prints `ready` when it may be lost.
import { create, globals } from '#farlight/client/index.js';
import { remoteHost } from '#farlight/client/transport/open.js';

const silence = { pingMs: 200, deadMs: 1500 };
const gpu = create({ transport: remoteHost(process.argv[2], { silence, connectMs: 2000 }) });
const device = await (await gpu.requestAdapter()).requestDevice();
const { GPUBufferUsage, GPUMapMode } = globals;
const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
const seen = { lost: [], uncaptured: 0 };
device.onuncapturederror = () => seen.uncaptured++;
void device.lost.then(({ reason, message }) => seen.lost.push({ reason, message }));
process.stdout.write('ready\n');
await new Promise((resolve) => process.stdin.once('data', resolve));
process.stdin.destroy();
const mapped = buffer.mapAsync(GPUMapMode.READ).then(
  () => 'fulfilled',
  (error) => error.name,
);
await device.lost;
seen.mapped = await mapped;
// Nothing that comes later says anything.
const encoder = device.createCommandEncoder();
encoder.copyBufferToBuffer(buffer, 0, buffer, 8, 4);
device.queue.submit([encoder.finish()]);
device.queue.writeBuffer(buffer, 0, new Uint8Array(4));
device.pushErrorScope('validation');
seen.scope = await device.popErrorScope();
device.destroy();
await new Promise((resolve) => setTimeout(resolve, 50));
process.stdout.write(`${JSON.stringify(seen)}\n`);
