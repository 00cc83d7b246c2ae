import { clearInterval, setInterval } from '../../link/machine/clock.js';

const EVER_MS = 2 ** 31 - 1;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Keeps the process alive. @returns a function that stops this. */
export function stayAlive(): () => void {
  const hold = setInterval(() => {}, EVER_MS);
  return () => clearInterval(hold);
}

/** Gives up, if a signal ends the process meanwhile, and lets it end then. @returns a function that stops this. */
export function giveUpAtSignal(giveUp: () => Promise<void>): () => void {
  const signalled = SIGNALS.map((signal) => {
    const listener = () => {
      // A program that listens itself decides what a signal does.
      if (process.listenerCount(signal) > 1) return;
      // Once: a second signal does not wait.
      process.off(signal, listener);
      void giveUp().finally(() => process.kill(process.pid, signal));
    };
    process.on(signal, listener);
    return [signal, listener] as const;
  });
  return () => {
    for (const [signal, listener] of signalled) process.off(signal, listener);
  };
}
