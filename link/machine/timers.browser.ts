export const {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  // No page has these.
  setImmediate = setTimeout as unknown as typeof globalThis.setImmediate,
  clearImmediate = clearTimeout as unknown as typeof globalThis.clearImmediate,
  performance,
} = globalThis;
