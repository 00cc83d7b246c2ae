import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';

/** What waits in one scope at most: a program may leave one open for as long as it runs. */
const MOST_WAITING = 4096;

interface Scope {
  filter: FarlightErrorType;
  /** The first error that it caught here. */
  error: FarlightGPUError<never> | undefined;
  /** What waits for it to be popped without an error. */
  whenClean: (() => void)[];
}

/**
 * A device's error scopes as the executor sees them, beside the implementation's own. The
 * implementation's errors land in its scopes; those that arise here (an exception where the
 * specification has an error, an object of another session) land in these, which open and close
 * together with the others.
 */
export class ErrorScopes {
  readonly #scopes: Scope[] = [];

  /** How many scopes are open. */
  get count(): number {
    return this.#scopes.length;
  }

  /**
   * Has `act` done once it is known that no validation error came, until the innermost scope for them is
   * popped; at once where there is none, and not at all where too much waits for that scope already. What is already
   * known to be an error is for the caller to see.
   */
  whenClean(act: () => void): void {
    const scope = this.#scopes.findLast(({ filter }) => filter === 'validation');
    if (!scope) act();
    else if (scope.whenClean.length < MOST_WAITING) scope.whenClean.push(act);
  }

  push(filter: FarlightErrorType): void {
    this.#scopes.push({ filter, error: undefined, whenClean: [] });
  }

  /** Closes the innermost scope, if one is open. */
  pop(): Scope | undefined {
    return this.#scopes.pop();
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
