/** The functions to call, in their order. */
const waiting = new Set<() => void>();
let isListening = false;

/**
 * Calls back when the process has nothing left to do and is about to end. It calls again if the process has done more
 * since. It does not call if `process.exit` or a signal ends the process. Returns a function that cancels it.
 */
export function beforeProcessEnds(then: () => void): () => void {
  waiting.add(then);
  if (!isListening) {
    isListening = true;
    process.on('beforeExit', () => {
      for (const each of [...waiting]) each();
    });
  }
  return () => void waiting.delete(then);
}
