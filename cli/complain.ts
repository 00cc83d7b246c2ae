import { FarlightError } from '../proto/errors.js';

/**
 * Tells the person what went wrong, on stderr, and returns the exit code for it. A FarlightError is
 * one sentence; anything else is a bug of ours, whose stack helps whoever is to repair it.
 */
export function complain(error: unknown): number {
  if (error instanceof FarlightError) process.stderr.write(`farlight: ${error.message}\n`);
  else console.error('farlight: this is a bug of farlight:', error);
  return 1;
}
