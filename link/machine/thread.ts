import { Worker, type WorkerOptions } from 'node:worker_threads';

/**
 * Starts a thread of Farlight's own. It does not get the options of the program: it must not preload the program's
 * modules, and above all not this package.
 */
export function startThread(file: URL, options: WorkerOptions): Worker {
  const { NODE_OPTIONS: _, ...env } = process.env;
  return new Worker(file, { ...options, execArgv: [], env });
}
