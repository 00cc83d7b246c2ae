import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { Flow } from '#farlight/client/transport/flow.js';

const MIB = 1 << 20;

it('asks a sender to wait at 16 MiB under way, and to go on below 8', () => {
  const sender = new Flow();
  const carrier = new Flow(sender.shared);
  for (let i = 0; i < 15; i++) expect(sender.sent(MIB)).toBe(true);
  expect(sender.sent(MIB)).toBe(false);
  for (let i = 0; i < 8; i++) expect(carrier.taken(MIB)).toBe(false);
  expect(carrier.taken(1)).toBe(true);
  expect(carrier.taken(MIB)).toBe(false);
});

it('resumes a sender that was asked to wait, in any order of sends and acknowledgements', () => {
  // A number above 0 is sent, a number below 0 is taken from what is under way.
  const steps = fc.array(fc.integer({ min: -20, max: 20 }), { maxLength: 200 });
  fc.assert(
    fc.property(steps, (each) => {
      const flow = new Flow();
      let underWay = 0;
      let waits = false;
      const take = (bytes: number) => {
        underWay -= bytes;
        if (flow.taken(bytes)) {
          expect(waits, 'never resumes a sender that does not wait').toBe(true);
          waits = false;
        }
      };
      for (const step of each) {
        if (step > 0) {
          underWay += step * MIB;
          waits = !flow.sent(step * MIB) || waits;
        } else if (step < 0) {
          take(Math.min(underWay, -step * MIB));
        }
      }
      take(underWay);
      expect(waits).toBe(false);
    }),
  );
});

/** Waits with 16 MiB under way. Each millisecond there is a request for a heartbeat. */
function awaitRoom(ask: (flow: Flow) => void): { room: boolean; flow: Flow; asked: number } {
  const flow = new Flow(undefined, 1);
  flow.sent(16 * MIB);
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
  flow.sent(16 * MIB);
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
  flow.sent(16 * MIB);
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
