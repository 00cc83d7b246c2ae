import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { Flow } from '#farlight/client/transport/flow.js';

const MIB = 1 << 20;

/** Waits with 16 MiB under way. Each millisecond there is a request for a heartbeat. */
function awaitRoom(ask: (flow: Flow) => void): { room: boolean; flow: Flow; asked: number } {
  const flow = new Flow(undefined, 1);
  flow.credit.sent(16 * MIB);
  let asked = 0;
  const room = flow.awaitRoom(() => {
    asked += 1;
    ask(flow);
  });
  return { room, flow, asked };
}

it('does not block a sender for ever if its carrier is dead, and closes', () => {
  const { room, flow, asked } = awaitRoom(() => {});
  expect([room, flow.closed]).toEqual([false, true]);
  expect(asked).toBeGreaterThan(5);
  // Nor does it block the next time.
  flow.credit.sent(16 * MIB);
  expect(flow.awaitRoom(() => {})).toBe(true);
});

it('blocks a sender while its carrier answers, however long it takes no bytes', () => {
  let left = 100;
  const { room, flow, asked } = awaitRoom((waiting) => {
    left -= 1;
    if (left > 0) waiting.beat();
    else waiting.taken(16 * MIB);
  });
  expect([room, flow.closed, asked]).toEqual([true, false, 100]);
});

it('wakes a sender when its carrier closes', async () => {
  const flow = new Flow();
  flow.credit.sent(16 * MIB);
  const url = new URL('../../dist/client/transport/flow.js', import.meta.url);
  const carrier = new Worker(
    `import(${JSON.stringify(url.href)}).then(({ Flow }) => {
      const { workerData } = require('node:worker_threads');
      setTimeout(() => new Flow(workerData).close(), 20);
    })`,
    { eval: true, workerData: flow.shared },
  );
  expect(flow.awaitRoom(() => {})).toBe(true);
  await carrier.terminate();
});
