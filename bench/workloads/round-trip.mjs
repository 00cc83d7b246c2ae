// The shortest program that waits: write 4 bytes, copy them, map them, read them.
import { openDevice, report, roundTrips } from './report.mjs';

const device = await openDevice();
const source = device.createBuffer({ size: 4, usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
const target = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
const value = new Uint32Array(1);

const { us, warmUs } = await roundTrips(async () => {
  value[0] += 1;
  device.queue.writeBuffer(source, 0, value);
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, target, 0, 4);
  device.queue.submit([encoder.finish()]);
  await target.mapAsync(GPUMapMode.READ);
  const [read] = new Uint32Array(target.getMappedRange());
  target.unmap();
  if (read !== value[0] && process.env.FARLIGHT_ADAPTER !== 'null')
    throw new Error(`read ${read}, wrote ${value[0]}`);
});
report({ roundTripUs: us, warmRoundTripUs: warmUs });
