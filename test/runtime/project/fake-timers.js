/** Has the test runner replace all that it can, in this file of tests. */
export function fakeTimers(runner) {
  const TIMERS = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'setImmediate',
    'clearImmediate',
  ];
  const vitest = { toFake: [...TIMERS, 'Date', 'performance', 'hrtime', 'queueMicrotask', 'nextTick'] };
  // Jest's replace everything unless told otherwise.
  runner.useFakeTimers(runner === globalThis.vi ? vitest : {});
  const before = Date.now();
  runner.advanceTimersByTime(60_000);
  if (Date.now() - before !== 60_000) throw new Error('the timers are real');
}
