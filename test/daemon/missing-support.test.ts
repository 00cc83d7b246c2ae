import { expect, it } from 'vitest';
import { missingSupport } from '#farlight/server/daemon.js';

it('a host warns of nothing on Linux', () => {
  expect(missingSupport()).toEqual([]);
});

it('a host warns at its start of what the system does not support', () => {
  const warnings = missingSupport({ tellsProcessMemory: false, hasSharedMemory: false });
  expect(warnings).toEqual([
    expect.stringMatching(/^--executor-memory has no effect: .*\/proc/),
    expect.stringMatching(/^programs on this machine reach the host at its port.*\/dev\/shm/),
  ]);
});
