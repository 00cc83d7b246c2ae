import { inspect } from 'node:util';
import { FarlightError } from '../proto/errors.js';
import { harmless, harmlessLines } from '../proto/harmless.js';
import { redact } from '../proto/token.js';

/**
 * Tells the person on stderr what went wrong, and returns the exit code. A FarlightError is one sentence. Any
 * other error is a bug of ours: its stack helps to repair it. Neither tokens nor control characters are
 * shown.
 */
export function complain(error: unknown): number {
  const text =
    error instanceof FarlightError
      ? harmless(error.message)
      : harmlessLines(`this is a bug of farlight: ${inspect(error)}`);
  process.stderr.write(`farlight: ${redact(text)}\n`);
  return 1;
}
