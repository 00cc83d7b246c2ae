import { expect, it } from 'vitest';
import { Uploads } from '#farlight/server/executor/limits/uploads.js';
import type { Entry } from '#farlight/server/executor/objects/object-table.js';
import { turn } from '../support/clients/scripted-transport.js';

/** A queue whose work is done when the test says so, and the promises that wait for it. */
function setUp() {
  const asked: (() => void)[] = [];
  const pauses: Promise<unknown>[] = [];
  const queue = {
    onSubmittedWorkDone: () => new Promise<void>((resolve) => asked.push(resolve)),
  } as unknown as GPUQueue;
  const uploads = new Uploads({ stepBytes: 1000, pauseUntil: (promise) => void pauses.push(promise) });
  return { asked, pauses, queue, uploads };
}

it('small writes ask the GPU once a step, and do not wait while it keeps up', async () => {
  const { asked, pauses, queue, uploads } = setUp();
  for (let write = 0; write < 1000; write += 1) {
    uploads.wrote(queue, 10);
    asked[Math.floor(write / 100) - 1]?.();
    await turn();
  }
  expect([asked.length, pauses.length]).toEqual([10, 0]);
});

it('a GPU that is two steps behind makes the next commands wait for the first step', async () => {
  const { asked, pauses, queue, uploads } = setUp();
  for (let write = 0; write < 19; write += 1) uploads.wrote(queue, 100);
  expect(pauses.length).toBe(0);
  uploads.wrote(queue, 100);
  expect([asked.length, pauses.length]).toEqual([2, 1]);
  let resumed = false;
  void pauses[0]?.then(() => {
    resumed = true;
  });
  await turn();
  expect(resumed).toBe(false);
  asked[0]?.();
  await turn();
  expect(resumed).toBe(true);
});

it('a GPU that cannot say when it is done does not block the session', async () => {
  const { pauses, uploads } = setUp();
  const lost = { onSubmittedWorkDone: () => Promise.reject(new Error('lost')) } as unknown as GPUQueue;
  uploads.wrote(lost, 1000);
  uploads.wrote(lost, 1000);
  await expect(pauses[0]).resolves.toBeUndefined();
});

it('the parts of a failed write are dropped, on its queue alone', () => {
  const { uploads } = setUp();
  const [one, other] = [{}, {}] as [Entry, Entry];
  uploads.drop(one, 2);
  expect([one, other, one, one].map((queue) => uploads.isDropped(queue))).toEqual([true, false, true, false]);
  uploads.drop(one, 0);
  expect(uploads.isDropped(one)).toBe(false);
});
