import { unlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * What `farlight run` hands out to the processes of its program, each to one of them: a file in a folder of the run's,
 * which FARLIGHT_RUN names. `unasked` goes with the first request of an adapter, `unused` with that of a device, `trace`
 * and `record` when their file is made.
 */
export type RunToken = 'unasked' | 'unused' | 'trace' | 'record';

/** Takes a token. False where another has it, or there was none. */
export function takeToken(token: RunToken): boolean {
  const folder = process.env.FARLIGHT_RUN;
  if (!folder) return false;
  try {
    unlinkSync(join(folder, token));
    return true;
  } catch {
    return false;
  }
}
