const { port1, port2 } = new MessageChannel();
const waiting: (() => void)[] = [];

port1.onmessage = () => waiting.shift()?.();

/** Calls back when the current task is over. A message, since a page's timers take 4 ms and more. */
export function whenTaskEnds(then: () => void): void {
  waiting.push(then);
  port2.postMessage(undefined);
}
