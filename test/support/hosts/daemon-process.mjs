// A daemon in a process of its own, for tests that look at what the process has: its options come as JSON, it
// prints its address, and tells its counters for each line on stdin.
import { createInterface } from 'node:readline';
import { Daemon } from '#farlight/server/daemon.js';

const { fake, ...options } = JSON.parse(process.argv[2] ?? '{}');
const executorEntry = fake ? new URL('./fake-executor.mjs', import.meta.url) : undefined;
const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry, ...options });
process.stdout.write(`${JSON.stringify({ url: daemon.url })}\n`);
createInterface({ input: process.stdin })
  .on('line', () => process.stdout.write(`${JSON.stringify(daemon.counters)}\n`))
  .on('close', () => daemon.close());
