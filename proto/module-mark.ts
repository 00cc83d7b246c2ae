/** The mark of Farlight's `create`: it differs from Dawn's also if Farlight is installed under Dawn's name. */
const MARK = Symbol.for('farlight.create');

/** Marks a module's `create` as Farlight's. */
export function markAsFarlight(create: object): void {
  Object.defineProperty(create, MARK, { value: true });
}

/** Whether a module is Farlight, of this version or another. */
export function isFarlight({ create }: { create?: unknown }): boolean {
  return typeof create === 'function' && MARK in create;
}
