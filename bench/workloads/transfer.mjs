// Bulk bytes both ways: 64 MiB (or BENCH_MIB) up by writeBuffer, and down by mapAsync.
import { getRandomValues } from 'node:crypto';
import { median, openDevice, report, times } from './report.mjs';

const MIB = 1 << 20;
const SIZE = Number(process.env.BENCH_MIB ?? 64) * MIB;
const RUNS = Number(process.env.BENCH_RUNS ?? 5);
const device = await openDevice();
const buffer = device.createBuffer({ size: SIZE, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
const staging = device.createBuffer({ size: SIZE, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
// No compression makes random bytes fewer.
const data = new Uint8Array(SIZE);
for (let at = 0; at < SIZE; at += 65_536) getRandomValues(data.subarray(at, Math.min(at + 65_536, SIZE)));

const up = await times(RUNS, 1, async () => {
  device.queue.writeBuffer(buffer, 0, data);
  await device.queue.onSubmittedWorkDone();
});
const down = await times(RUNS, 1, async () => {
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, staging, 0, SIZE);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = new Uint8Array(staging.getMappedRange());
  if (bytes[SIZE - 1] !== data[SIZE - 1] && process.env.FARLIGHT_ADAPTER !== 'null')
    throw new Error('the bytes did not arrive');
  staging.unmap();
});
const speed = (measured) => SIZE / MIB / (median(measured) / 1000);
report({ uploadMiBs: speed(up), downloadMiBs: speed(down) });
