import { expect, it } from 'vitest';
import { shortcomings } from '#farlight/server/daemon/executors/shortcomings.js';

it('a host on Linux has nothing to say of its system', () => {
  expect(shortcomings()).toEqual([]);
});

it('a host says at its start what it does without where the system does not help', () => {
  const said = shortcomings({ processMemory: false, sharedMemory: false });
  expect(said).toEqual([
    expect.stringMatching(/^--executor-memory is not held to: .*\/proc/),
    expect.stringMatching(/^programs of this machine reach the host by its port.*\/dev\/shm/),
  ]);
});
