import { inspect } from 'node:util';
import { FarlightError } from '../proto/errors.js';
import { harmless, harmlessLines } from '../proto/harmless.js';
import { redact } from '../proto/token.js';

/**
 * Tells the person what went wrong, on stderr, and returns the exit code for it. A FarlightError is
 * one sentence; anything else is a bug of ours, whose stack helps whoever is to repair it. No token is shown,
 * and nothing that a terminal would obey.
 */
export function complain(error: unknown): number {
  const text =
    error instanceof FarlightError
      ? harmless(error.message)
      : harmlessLines(`this is a bug of farlight: ${inspect(error)}`);
  process.stderr.write(`farlight: ${redact(text)}\n`);
  return 1;
}
