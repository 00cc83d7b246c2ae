/**
 * Awaits `work`, and shows on stderr how long it has taken so far. The first inference compiles every shader
 * of the model, which takes tens of seconds on a software GPU. Resolves to the result and the milliseconds.
 */
export async function withProgress(title, work) {
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  const live = process.stderr.isTTY;
  const say = () =>
    process.stderr.write(live ? `\r${title} ... ${seconds()} s` : `${title} ... ${seconds()} s\n`);
  const timer = setInterval(say, live ? 200 : 5000);
  try {
    const result = await work();
    const ms = performance.now() - start;
    process.stderr.write(live ? `\r${title}: ${formatMs(ms)}\x1b[K\n` : `${title}: ${formatMs(ms)}\n`);
    return { result, ms };
  } finally {
    clearInterval(timer);
  }
}

export function formatMs(ms) {
  return ms < 10_000 ? `${ms.toFixed(ms < 100 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
