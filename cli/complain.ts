import { inspect } from 'node:util';
import { FarlightError } from '../proto/errors.js';
import { redact } from '../proto/token.js';

/**
 * Tells the person what went wrong, on stderr, and returns the exit code for it. A FarlightError is
 * one sentence; anything else is a bug of ours, whose stack helps whoever is to repair it. No token is shown.
 */
export function complain(error: unknown): number {
  const bug = `this is a bug of farlight: ${inspect(error)}`;
  process.stderr.write(`farlight: ${redact(error instanceof FarlightError ? error.message : bug)}\n`);
  return 1;
}
