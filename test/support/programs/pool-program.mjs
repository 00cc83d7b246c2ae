// A program that does with its GPU what its standard input says, a line each, and answers each with a line when it is done:
// `compute` asks for a device, computes, and keeps the device; `again` computes with what that has left there; `drop`
// destroys it; `lost` waits
// until it is lost and says why; `close` closes the GPU.
import { createInterface } from 'node:readline';
import { close, create } from 'farlight';
import { tripled, tripledAgain } from './tripled.mjs';

const gpu = create();
const devices = [];

for await (const line of createInterface({ input: process.stdin })) void answer(line);

async function answer(line) {
  try {
    console.log(await { compute, again, drop, lost, close: async () => close(gpu) ?? 'closed' }[line]());
  } catch (error) {
    console.log(`${error.name}: ${error.message}`);
  }
}

async function compute() {
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice();
  devices.push(device);
  return (await tripled(device)).join(' ');
}

async function again() {
  return (await tripledAgain(devices[0])).join(' ');
}

async function drop() {
  for (const device of devices.splice(0)) device.destroy();
  return 'dropped';
}

async function lost() {
  const { reason, message } = await devices[0].lost;
  return `${reason}: ${message}`;
}
