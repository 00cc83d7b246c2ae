const { AbortController, crypto, DOMException, URL } = globalThis;

/**
 * The globals that Farlight uses, although programs and their tests may replace them. It takes them when it is loaded.
 * Some libraries put a Promise of their own there. Browser-like environments of test runners put their own classes there.
 */
export const native = {
  /** The language's own class, which an async function returns, even if the global is replaced already. */
  Promise: (async () => {})().constructor as PromiseConstructor,
  AbortController,
  crypto,
  DOMException,
  URL,
};
