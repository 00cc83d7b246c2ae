const { AbortController, crypto, DOMException, URL } = globalThis;

/**
 * What Farlight uses of the globals that programs and their tests replace, taken when Farlight is loaded: libraries put
 * a Promise of their own there, and browser-like environments of test runners classes of theirs.
 */
export const native = {
  /** The language's own, whatever stands there already: what an async function returns. */
  Promise: (async () => {})().constructor as PromiseConstructor,
  AbortController,
  crypto,
  DOMException,
  URL,
};
