import type { FarlightErrorType, FarlightGPUError } from '../../proto/gen/operations.js';

interface Scope {
  filter: FarlightErrorType;
  error: FarlightGPUError<never> | undefined;
}

/**
 * A device's error scopes as the executor sees them, beside the implementation's own. The
 * implementation's errors land in its scopes; those that arise here (an exception where the
 * specification has an error, an object of another session) land in these, which open and close
 * together with the others.
 */
export class ErrorScopes {
  readonly #scopes: Scope[] = [];

  /** Whether no scope is open. */
  get none(): boolean {
    return this.#scopes.length === 0;
  }

  push(filter: FarlightErrorType): void {
    this.#scopes.push({ filter, error: undefined });
  }

  /** Closes the innermost scope; returns the first error that it caught here. */
  pop(): FarlightGPUError<never> | undefined {
    return this.#scopes.pop()?.error;
  }

  /** Puts an error into the innermost scope for its type; false where there is none. */
  catch(error: FarlightGPUError<never>): boolean {
    const scope = this.#scopes.findLast(({ filter }) => filter === error.type);
    if (!scope) return false;
    scope.error ??= error;
    return true;
  }
}

const TYPES: Readonly<Record<string, FarlightErrorType>> = {
  GPUValidationError: 'validation',
  GPUOutOfMemoryError: 'out-of-memory',
  GPUInternalError: 'internal',
};

/** An error of the implementation as the wire carries it. */
export function describeError(error: GPUError): FarlightGPUError<never> {
  return { type: TYPES[error.constructor.name] ?? 'internal', message: error.message };
}
