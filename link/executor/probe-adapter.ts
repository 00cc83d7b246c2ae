import { FarlightError } from '../../proto/errors.js';
import { native } from '../machine/globals.js';
import { ExecutorChild, type ExecutorReady } from './executor-child.js';

/**
 * Opens an adapter of this machine in an executor process of its own, to see whether that works, and
 * ends the process.
 *
 * @throws FarlightError NO_ADAPTER or EXECUTOR_LOST (rejects).
 */
export function probeAdapter(adapter: string): Promise<ExecutorReady> {
  return new native.Promise((resolve, reject) => {
    let found: ExecutorReady | undefined;
    const child = new ExecutorChild(
      { adapter },
      {
        onReady: (ready) => {
          found = ready;
          child.kill();
        },
        onExit: (reason) => {
          if (found) resolve(found);
          else reject(reason ?? new FarlightError('EXECUTOR_LOST', 'the GPU executor ended early'));
        },
      },
    );
  });
}
