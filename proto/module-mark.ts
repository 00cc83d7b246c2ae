/** Marks the `create` of Farlight's own module: under whatever name it is installed, it can be told from Dawn's by it. */
const MARK = Symbol.for('farlight.create');

/** Marks a module's `create` as Farlight's. */
export function markAsFarlight(create: object): void {
  Object.defineProperty(create, MARK, { value: true });
}

/** Whether a module is Farlight, of this version or another. */
export function isFarlight({ create }: { create?: unknown }): boolean {
  return typeof create === 'function' && MARK in create;
}
