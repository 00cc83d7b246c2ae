// A program that makes a mistake with the last thing it does, and awaits nothing after it; for tests of what is shown.
import { readFileSync } from 'node:fs';
import { create, globals } from 'farlight';

Object.assign(globalThis, globals);
const gpu = create({ adapter: 'null' });
const adapter = await gpu.requestAdapter();
const device = await adapter.requestDevice();
if (process.argv[2] === 'listen') {
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    console.log(`heard: ${event.error.message}`);
  });
}
if (process.argv[2] === 'stop') {
  const [executor] = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ');
  process.kill(Number(executor), 'SIGSTOP');
  console.log(executor);
}
device.createBuffer({ label: 'wrong', size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.MAP_WRITE });
