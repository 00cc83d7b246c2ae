/**
 * Recognizes a value by its internal slots. Test runners and iframes have realms of their own. Their ArrayBuffer is
 * another class than ours, so `instanceof` is false. The getters of the language accept values of every realm.
 */

/** Calls the getter; undefined if the value does not have its slot. */
export function slot<T>(prototype: object | undefined, name: PropertyKey): (value: unknown) => T | undefined {
  const getter = prototype && Object.getOwnPropertyDescriptor(prototype, name)?.get;
  return (value) => {
    if (!getter) return undefined;
    try {
      return Reflect.apply(getter, value, []) as T;
    } catch {
      return undefined;
    }
  };
}

const length = slot<number>(ArrayBuffer.prototype, 'byteLength');
/** In a page that is not isolated there is no SharedArrayBuffer to ask about. */
const sharedLength = slot<number>(globalThis.SharedArrayBuffer?.prototype, 'byteLength');
const arrayName = slot<string>(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);

export function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return length(value) !== undefined;
}

export function isSharedArrayBuffer(value: unknown): value is SharedArrayBuffer {
  return sharedLength(value) !== undefined;
}

interface Arrays {
  Uint8Array: Uint8Array;
  Uint8ClampedArray: Uint8ClampedArray;
  Uint32Array: Uint32Array;
}

/** Whether it is a typed array of that name, as a Buffer is a Uint8Array. */
export function isTypedArray<Name extends keyof Arrays>(value: unknown, name: Name): value is Arrays[Name] {
  return arrayName(value) === name;
}
