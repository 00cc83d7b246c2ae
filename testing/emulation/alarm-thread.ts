// The thread behind PreciseAlarm: sleeps until the deadline in the shared memory, then sends a message.
import { parentPort, workerData } from 'node:worker_threads';
import { ALARM } from './precise-alarm.js';

const memory = workerData as SharedArrayBuffer;
const deadlines = new BigInt64Array(memory, 0, 1);
const changes = new Int32Array(memory);

for (;;) {
  // Read first: a deadline that changes after this ends the sleep below at once.
  const change = Atomics.load(changes, ALARM.change);
  const deadline = Atomics.load(deadlines, ALARM.deadline);
  if (deadline === -1n) break;
  const ns = deadline === 0n ? Infinity : Number(deadline - process.hrtime.bigint());
  if (ns > 0) Atomics.wait(changes, ALARM.change, change, ns / 1e6);
  else if (Atomics.compareExchange(deadlines, ALARM.deadline, deadline, 0n) === deadline)
    parentPort?.postMessage(0);
}
