import { parentPort } from 'node:worker_threads';
import type { MemoryState } from '../../client/index.js';
import { messageOf } from '../../proto/errors.js';
import type { Tensor } from '../service/tensor.js';
import type { GpuEvent } from './gpu/gpu-times.js';
import { RunError } from './lane.js';
import type { FromWorker, ToWorker } from './lane-worker.js';
import { buffersOf } from './tensor-rows.js';

/** An answer of a worker. The memory of `tensors` is handed over instead of copied. */
export interface Answered {
  readonly value?: unknown;
  readonly tensors?: Iterable<Tensor>;
}

export interface WorkerMethods {
  readonly methods: Readonly<Record<string, (argument: never) => Promise<Answered>>>;
  abort?(reason: string): void;
  /** The lane wants no answers any more. The worker ends after it. It never rejects. */
  leave(): void | Promise<void>;
}

/** Answers the lane's calls, one after the other. Used in the worker. */
export function answerCalls({ methods, abort, leave }: WorkerMethods): void {
  let last = Promise.resolve();
  parentPort?.on('messageerror', (error) => sayLost(`A call of its lane was lost: ${messageOf(error)}.`));
  parentPort?.on('message', (message: ToWorker) => {
    if (message === 'leave') {
      void Promise.resolve(leave()).then(() => process.exit());
    } else if ('abort' in message) abort?.(message.abort);
    else last = last.then(() => answer(message, methods));
  });
}

/** Says that the lane cannot go on, and why, in a sentence. */
export function sayLost(reason: string): void {
  tell({ lost: reason });
}

/** Says what the host tells of its memory. */
export function sayMemory(memory: MemoryState): void {
  tell({ memory });
}

/** Says what the host tells of its GPU. */
export function sayGpu(gpu: GpuEvent): void {
  tell({ gpu });
}

async function answer(
  { call, method, argument }: Exclude<ToWorker, 'leave' | { abort: string }>,
  methods: WorkerMethods['methods'],
): Promise<void> {
  try {
    const { value, tensors = [] } = (await methods[method]?.(argument as never)) ?? {};
    tell({ call, value }, buffersOf(tensors));
  } catch (error) {
    const { memory = false, taken = false, away = false } = error instanceof RunError ? error : {};
    tell({ call, error: { message: messageOf(error), memory, taken, away } });
  }
}

function tell(message: FromWorker, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(message, transfer);
}
