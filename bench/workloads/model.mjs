// Shared by the model workloads. A model first reports its first inference. With BENCH_RUNS it then runs that many more
// inferences and ends. With BENCH_ON_DEMAND it warms up, reports that it is ready, and runs as many inferences as each
// line on stdin says, until it is stopped.
import { writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { counters, times } from './report.mjs';

/** The longest time to warm up, in milliseconds: a software GPU may take seconds a step. */
const WARMUP_MOST_MS = 10_000;
/**
 * An idle process uses at most this share of a CPU, measured for this long. `mostMs`: how long to wait for
 * that.
 */
const IDLE = { share: 0.05, ms: 500, mostMs: 180_000 };

/**
 * When the program first asked for an adapter, as performance.now() gives it: that is when a session begins.
 * Call this before the framework is loaded.
 */
export function sessionStart() {
  const started = { at: undefined };
  const { requestAdapter } = GPU.prototype;
  GPU.prototype.requestAdapter = function (...args) {
    started.at ??= performance.now();
    return requestAdapter.apply(this, args);
  };
  return started;
}

/**
 * Runs `infer` as the environment asks, and ends the process: Dawn would keep it alive.
 *
 * @param inputBytes How many bytes of an inference's input must be uploaded.
 * @param warmup How many inferences to make until it is steady.
 */
export async function runModel(infer, { session, inputBytes, warmup }) {
  const [firstMs] = await times(1, 0, infer);
  const startMs = performance.now() - session.at;
  say({ firstMs, startMs, inputBytes, first: await counters() });
  if (process.env.BENCH_ON_DEMAND) {
    if (process.env.BENCH_WARMUP !== 'off') await warmUp(infer, warmup);
    say({ ready: true });
    for await (const line of createInterface({ input: process.stdin })) {
      const count = Number(line);
      const before = await counters();
      const stepsMs = await times(count, 0, infer);
      say({ stepsMs, perStep: perStep(before, await counters(), count) });
    }
  }
  await times(Number(process.env.BENCH_RUNS ?? 0), 0, infer);
  process.exit(0);
}

function say(what) {
  writeSync(1, `${JSON.stringify(what)}\n`);
}

/** How much each counter grew per step, between two readings. */
function perStep(before, after, steps) {
  if (!before || !after) return undefined;
  return Object.fromEntries(Object.keys(after).map((name) => [name, (after[name] - before[name]) / steps]));
}

async function warmUp(infer, steps) {
  const until = performance.now() + WARMUP_MOST_MS;
  for (let step = 0; step < steps && performance.now() < until; step += 1) await infer();
  await comeToRest();
}

/** Waits until V8 has compiled the code that ran often. A measurement before that would include V8's work. */
async function comeToRest() {
  for (let waited = 0; waited < IDLE.mostMs; waited += IDLE.ms) {
    const before = process.cpuUsage();
    await setTimeout(IDLE.ms);
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 < IDLE.share * IDLE.ms) return;
  }
  throw new Error(`the program was busy for ${IDLE.mostMs / 1000} s with nothing to do`);
}
