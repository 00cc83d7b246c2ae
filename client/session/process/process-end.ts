/** Who wants to be called, in the order in which they came. */
const waiting = new Set<() => void>();
let isListening = false;

/**
 * Calls back when the process has nothing left to do and is about to end; again, where it has done more since. A process
 * that is ended (`process.exit`, a signal) does not come to that. Returns what takes it back.
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
