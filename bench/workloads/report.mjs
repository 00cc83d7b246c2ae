// Shared by the workloads: how they measure, and how they report.
import { writeSync } from 'node:fs';

export function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** Runs `step` `warmup` times without measuring, then `count` times. Resolves to each run's milliseconds. */
export async function times(count, warmup, step) {
  const measured = [];
  for (let run = -warmup; run < count; run += 1) {
    const start = performance.now();
    await step();
    if (run >= 0) measured.push(performance.now() - start);
  }
  return measured;
}

/**
 * How long a round trip takes, in microseconds: after 1,000 of them, and after 10,000, when V8 has compiled
 * all the code on its way. Each figure is the median of 300.
 */
export async function roundTrips(step) {
  const soon = await times(300, 1000, step);
  const warm = await times(300, 8700, step);
  return { us: median(soon) * 1000, warmUs: median(warm) * 1000 };
}

/** The session's counters, or undefined on local Dawn. */
export async function counters() {
  if (process.env.BENCH_TARGET === 'local') return undefined;
  const { stats } = await import('../../dist/bundle/client/index.js');
  return stats(navigator.gpu);
}

/** Prints the result and ends the process: Dawn would keep it alive. */
export function report(result) {
  writeSync(1, `${JSON.stringify(result)}\n`);
  process.exit(0);
}

export async function openDevice() {
  const adapter = await navigator.gpu.requestAdapter();
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  return adapter.requestDevice({ requiredLimits: { maxBufferSize, maxStorageBufferBindingSize } });
}
