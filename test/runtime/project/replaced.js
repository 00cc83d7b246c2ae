import { compute } from './compute.js';

/** A class of the program's, which nobody else can use. */
class Broken {
  constructor() {
    throw new Error('this is not for Farlight');
  }
  static resolve = () => new Broken();
  static reject = () => new Broken();
  static canParse = () => new Broken();
  static getRandomValues = () => new Broken();
}
for (const name of ['Promise', 'AbortController', 'DOMException', 'URL', 'crypto', 'structuredClone'])
  Object.defineProperty(globalThis, name, { value: Broken, configurable: true, writable: true });
console.log(JSON.stringify(await compute(navigator.gpu)));
