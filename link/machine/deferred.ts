import { native } from './globals.js';

/** A promise that is settled from outside. (Promise.withResolvers comes with Node 22.) */
export interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  const promise = new native.Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
