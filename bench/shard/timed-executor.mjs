// An executor whose GPU takes time: on the null adapter, which computes nothing, each dispatch takes so many milliseconds.
// FARLIGHT_DISPATCH_MS says how many, and FARLIGHT_DISPATCHES names a folder in which each process counts its dispatches.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { globals } from 'webgpu';

const MS = Number(process.env.FARLIGHT_DISPATCH_MS);
let encoded = 0;
let dispatched = 0;
/** When the GPU has done all that was submitted. */
let busyUntil = 0;

/** Calls `then` with the original method. */
function patch({ prototype }, name, then) {
  const original = prototype[name];
  prototype[name] = function (...args) {
    return then(() => original.apply(this, args));
  };
}

const whenDone = (call) => {
  const until = busyUntil;
  writeFileSync(join(process.env.FARLIGHT_DISPATCHES, String(process.pid)), String(dispatched));
  return call().then(async (value) => {
    const left = until - performance.now();
    if (left > 0) await new Promise((resolve) => setTimeout(resolve, left));
    return value;
  });
};

for (const name of ['dispatchWorkgroups', 'dispatchWorkgroupsIndirect'])
  patch(globals.GPUComputePassEncoder, name, (call) => {
    encoded += 1;
    return call();
  });
patch(globals.GPUQueue, 'submit', (call) => {
  busyUntil = Math.max(busyUntil, performance.now()) + encoded * MS;
  dispatched += encoded;
  encoded = 0;
  return call();
});
patch(globals.GPUQueue, 'onSubmittedWorkDone', whenDone);
patch(globals.GPUBuffer, 'mapAsync', whenDone);
await import('../../dist/server/executor/main.js');
