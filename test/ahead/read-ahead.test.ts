import { expect, it } from 'vitest';
import { ReadAhead } from '#farlight/client/ahead/read-ahead.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import type { Handle } from '#farlight/proto/wire/handle.js';

const { onSubmittedWorkDone, writeBuffer } = OPERATIONS.GPUQueue;
const DEVICE = { id: 1, kind: 'GPUDevice' } as unknown as Handle;
const QUEUE = { id: 2, kind: 'GPUQueue', device: DEVICE } as unknown as Handle;

/** How often the host is asked by a program that awaits the end of its work twice a step, `tripMs` away. */
function asked(tripMs: number, always: boolean): number {
  let now = 0;
  let questions = 0;
  let serial = 0;
  const ahead = new ReadAhead({
    stats: { waits: 0, waitsSaved: 0, bytesAhead: 0, bytesAheadWasted: 0 },
    always,
    now: () => now,
    whenTaskEnds: () => {},
    awaited: () => 0,
    ask: () => {
      questions += 1;
    },
    settle: () => true,
    told: () => {},
    replied: () => {},
  });
  for (let step = 0; step < 6; step += 1) {
    ahead.recorded(writeBuffer, QUEUE, [], undefined, [2]);
    for (let wait = 0; wait < 2; wait += 1) {
      const recorded = ahead.wait(onSubmittedWorkDone, QUEUE, []);
      ahead.recorded(onSubmittedWorkDone, QUEUE, [], undefined, [2]);
      serial += 1;
      ahead.waiting({ ...recorded, early: undefined }, QUEUE, serial);
      ahead.flushing();
      now += tripMs;
      ahead.replied(serial);
    }
  }
  return questions;
}

it('a near host is asked for nothing ahead, unless the option is on', () => {
  expect(asked(0.5, false)).toBe(0);
  expect(asked(0.5, true)).toBeGreaterThan(1);
  expect(asked(30, false)).toBe(asked(0.5, true));
});
