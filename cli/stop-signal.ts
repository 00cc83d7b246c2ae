const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
export type EndingSignal = (typeof SIGNALS)[number];

/** Whether this process began on a terminal. Once that is gone, nobody can ask. */
const ON_TERMINAL = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);

/**
 * Ends the process by SIGHUP once it exits, if it had a terminal, which is gone. Without it Node aborts at its exit, with a
 * core file: it cannot set the terminal back.
 */
export function exitByHangUp(): void {
  if (!ON_TERMINAL) return;
  process.on('exit', () => {
    process.removeAllListeners('SIGHUP');
    process.kill(process.pid, 'SIGHUP');
  });
}

/**
 * Calls `stop` for each signal that ends a server. A terminal that closes may send SIGHUP twice, and nobody is there who
 * does not want to wait: it counts once, and not after another signal.
 *
 * @returns takes the listeners off again.
 */
export function onEndingSignal(stop: (signal: EndingSignal) => void): () => void {
  let isEnding = false;
  const end = (signal: EndingSignal) => {
    if (signal === 'SIGHUP') exitByHangUp();
    if (signal === 'SIGHUP' && isEnding) return;
    isEnding = true;
    stop(signal);
  };
  for (const signal of SIGNALS) process.on(signal, end);
  return () => {
    for (const signal of SIGNALS) process.off(signal, end);
  };
}

/** Aborts at the first signal that ends a server. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController();
  onEndingSignal(() => {
    // A second signal: the person does not want to wait.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
  return stop.signal;
}

export function stopped(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
