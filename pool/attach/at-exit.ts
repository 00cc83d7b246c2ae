/** A process that ends gives its hosts back. Else they would wait for it, for one lease. */
import type { Worker } from 'node:worker_threads';
import { monotonicNow } from '../../link/machine/clock.js';

/** A thread with hosts is to give them back, since the process ends. */
export interface Goodbye {
  /** Its number becomes 1 when that is done. */
  readonly done: Int32Array<SharedArrayBuffer>;
}

/** How long an ending process waits, for all its threads together, in milliseconds. */
const GOODBYE_MS = 500;

/** The threads that have hosts. */
const threads = new Set<Worker>();
let isListening = false;

/** Has a thread give its hosts back when the process ends, if the thread still runs then. */
export function giveBackAtExit(thread: Worker): void {
  if (threads.has(thread)) return;
  threads.add(thread);
  thread.once('exit', () => threads.delete(thread));
  if (!isListening) process.once('exit', giveAllBack);
  isListening = true;
}

function giveAllBack(): void {
  const until = monotonicNow() + GOODBYE_MS;
  const asked = [...threads].map((thread) => {
    const done = new Int32Array(new SharedArrayBuffer(4));
    thread.postMessage({ done } satisfies Goodbye);
    return done;
  });
  for (const done of asked) Atomics.wait(done, 0, 0, Math.max(0, until - monotonicNow()));
}

/** In the thread: the hosts know. */
export function hasGivenBack({ done }: Goodbye): void {
  Atomics.store(done, 0, 1);
  Atomics.notify(done, 0);
}
