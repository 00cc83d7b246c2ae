import type { FarlightErrorType, FarlightGPUError } from '../../../proto/gen/operations.js';

const ERROR_TYPES: readonly FarlightErrorType[] = ['validation', 'out-of-memory', 'internal'];

/** The most callbacks that wait in one scope. A program may leave a scope open for as long as it runs. */
const MOST_WAITING = 4096;

/** An open scope, as plain values. */
export interface ScopeState {
  filter: FarlightErrorType;
  /** The first error that the implementation's own scope had caught when it was looked at. */
  earlier: FarlightGPUError<never> | undefined;
  /** The first of our own errors that it caught. */
  error: FarlightGPUError<never> | undefined;
}

interface Scope extends ScopeState {
  /** Called when the scope is popped without an error. */
  whenClean: (() => void)[];
}

/**
 * A device's error scopes for the executor's own errors: an exception where the specification has an error, or an object
 * of another session. They open and close together with the implementation's scopes, which catch its errors.
 */
export class ErrorScopes {
  readonly #scopes: Scope[] = [];

  /** How many scopes are open. */
  get count(): number {
    return this.#scopes.length;
  }

  /**
   * Calls `act` when the innermost scope of each type is popped without an error, so that no scope has caught one of
   * `act`'s object. Where no scope is open, calls it at once. Where too many callbacks wait for a scope, never calls it.
   */
  whenClean(act: () => void): void {
    const scopes = ERROR_TYPES.flatMap((type) => this.#innermost(type) ?? []);
    let left = scopes.length;
    if (left === 0) act();
    const clean = () => {
      left -= 1;
      if (left === 0) act();
    };
    for (const { whenClean } of scopes) if (whenClean.length < MOST_WAITING) whenClean.push(clean);
  }

  push(filter: FarlightErrorType): void {
    this.#scopes.push({ filter, earlier: undefined, error: undefined, whenClean: [] });
  }

  /** The open scopes, the outermost first. The implementation's own scopes must have been looked at. */
  get state(): ScopeState[] {
    return this.#scopes.map(({ filter, earlier, error }) => ({ filter, earlier, error }));
  }

  /** Opens a scope that was open in another process. */
  restore({ filter, earlier, error }: ScopeState): void {
    this.#scopes.push({ filter, earlier, error, whenClean: [] });
  }

  /**
   * How many of the open scopes, from the innermost on and `most` at most, have caught nothing. The implementation tells
   * it only when a scope closes. So this closes its scopes, keeps their errors here, and opens them again.
   */
  async look(device: Pick<GPUDevice, 'pushErrorScope' | 'popErrorScope'>, most: number): Promise<number> {
    const scopes = this.#scopes.toReversed().slice(0, most);
    const looked = scopes.map(async (scope) => {
      const error = await device.popErrorScope();
      if (error) scope.earlier ??= describeError(error);
    });
    for (const { filter } of scopes.toReversed()) device.pushErrorScope(filter);
    await Promise.all(looked);
    const dirty = scopes.findIndex(({ earlier, error }) => earlier ?? error);
    return dirty < 0 ? scopes.length : dirty;
  }

  /** Closes the innermost scope, if one is open. */
  pop(): Scope | undefined {
    return this.#scopes.pop();
  }

  /** Puts an error into the innermost scope for its type. Returns false where there is none. */
  catch(error: FarlightGPUError<never>): boolean {
    const scope = this.#innermost(error.type);
    if (!scope) return false;
    scope.error ??= error;
    return true;
  }

  /** The scope that catches errors of this type. */
  #innermost(type: FarlightErrorType): Scope | undefined {
    return this.#scopes.findLast(({ filter }) => filter === type);
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
