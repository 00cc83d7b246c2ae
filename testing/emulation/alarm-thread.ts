// The thread behind PreciseAlarm. It sleeps until the deadline in the shared memory, then sends a message.
import { parentPort, workerData } from 'node:worker_threads';
import { ALARM } from './precise-alarm.js';

const memory = workerData as SharedArrayBuffer;
const deadlines = new BigInt64Array(memory, 0, 1);
const changes = new Int32Array(memory);

/** A long sleep ends up to 1 ms late, so it is ended early and a short one follows. In milliseconds. */
const LONG_MS = 3;
const EARLY_MS = 2;

for (;;) {
  // Read first: a deadline that changes after this ends the sleep below at once.
  const change = Atomics.load(changes, ALARM.change);
  const deadline = Atomics.load(deadlines, ALARM.deadline);
  if (deadline === -1n) break;
  const ms = deadline === 0n ? Infinity : Number(deadline - process.hrtime.bigint()) / 1e6;
  if (ms > 0) Atomics.wait(changes, ALARM.change, change, ms > LONG_MS ? ms - EARLY_MS : ms);
  else if (Atomics.compareExchange(deadlines, ALARM.deadline, deadline, 0n) === deadline)
    parentPort?.postMessage(0);
}
