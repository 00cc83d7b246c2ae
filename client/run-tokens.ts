import { unlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Tokens tell `farlight run` what the processes of its program did. Each is a file in the folder that
 * FARLIGHT_RUN names, and one process takes it. A process takes `unasked` with its first request for an
 * adapter, `unused` with its first request for a device, and `trace` or `record` when it makes that file.
 */
export type RunToken = 'unasked' | 'unused' | 'trace' | 'record';

/** Takes a token. Returns false if another process has it, or if there was none. */
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
