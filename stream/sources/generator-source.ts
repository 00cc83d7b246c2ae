import type { Tensor } from '../../infer/service/tensor.js';
import { monotonicNow } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import type { GeneratorDefinition } from '../definition/definition.js';
import type { FunctionPool } from '../run/function-pool.js';
import type { Attempts } from './attempts.js';
import { type Feed, roomIn } from './source.js';

const POSITION_KEY = 'n';

/** Records that a function makes, by their numbers. */
export async function generate(
  { function: fn, values, keys, every }: GeneratorDefinition,
  functions: FunctionPool,
  feed: Feed,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<void> {
  let n = Math.max(0, ...[...feed.positions.values()].map((position) => Number(position) + 1));
  const start = monotonicNow();
  const first = n;
  while (!signal.aborted) {
    if (every !== undefined) await pause(start + (n - first) * every - monotonicNow(), signal);
    await roomIn(feed, signal);
    if (signal.aborted) return;
    const make = async () => {
      const made = await unlessAborted(functions.run(fn, { n: numberTensor(n) }, values), signal);
      await feed.ingest({ key: `${POSITION_KEY}${n % keys}`, values: made, position: n });
    };
    await attempts.untilWell(`record ${n}`, make, signal);
    n += 1;
  }
}

/** Settles as the promise does, or rejects when the signal aborts: a function may wait for long, and its source closes. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}

function numberTensor(n: number): Tensor {
  return {
    name: 'n',
    datatype: 'INT64',
    shape: [1],
    data: new Uint8Array(BigInt64Array.of(BigInt(n)).buffer),
  };
}
