import {
  ExecutorChild,
  type ExecutorChildOptions,
  type ExecutorReady,
} from '../link/executor/executor-child.js';
import { packageProgram } from '../link/machine/package-files.js';
import { FarlightError } from '../proto/errors.js';

/**
 * Opens an adapter of this machine in an executor process of its own, to see whether that works, and ends the process.
 *
 * @param options tests have others.
 * @throws FarlightError NO_ADAPTER or EXECUTOR_LOST (rejects).
 */
export function probeAdapter(
  adapter: string,
  options: Partial<ExecutorChildOptions> = {},
): Promise<ExecutorReady> {
  return new Promise((resolve, reject) => {
    let found: ExecutorReady | undefined;
    const child = new ExecutorChild(
      { adapter, entry: packageProgram('server/executor/main.js'), ...options },
      {
        onReady: (ready) => {
          found = ready;
          child.kill();
        },
        onStuck: (reason) => {
          child.unref();
          reject(reason);
        },
        onExit: (reason) => {
          if (found) resolve(found);
          else
            reject(reason ?? new FarlightError('EXECUTOR_LOST', 'the GPU executor ended early; try again'));
        },
      },
    );
  });
}
