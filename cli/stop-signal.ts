/**
 * Calls `stop` for each signal that ends a server. A terminal that closes may send SIGHUP twice, and nobody is there who
 * does not want to wait: it counts once, and not after another signal.
 *
 * @returns takes the listeners off again.
 */
export function onEndingSignal(stop: () => void): () => void {
  let isEnding = false;
  const end = () => {
    isEnding = true;
    stop();
  };
  const hangUp = () => {
    if (!isEnding) end();
  };
  const listeners = { SIGTERM: end, SIGINT: end, SIGHUP: hangUp } as const;
  for (const [signal, listener] of Object.entries(listeners)) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of Object.entries(listeners)) process.off(signal, listener);
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
