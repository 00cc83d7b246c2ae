import { expect, it } from 'vitest';
import { flushAfter } from '#farlight/client/session/flush-policy.js';

it('configuration alone waits for the end of the task', () => {
  expect(flushAfter('configuration', 100)).toBe('task');
});

it('what is awaited leaves with the current job, together with what precedes it', () => {
  expect(flushAfter('awaited', 100)).toBe('microtask');
});

it('a small submit leaves with the current job, so that a mapAsync after it joins', () => {
  expect(flushAfter('submit', 100)).toBe('microtask');
});

it('a submit with work behind it leaves at once, so that the GPU can start', () => {
  expect(flushAfter('submit', 10_000)).toBe('now');
});

it('a large batch leaves at once, whatever it holds', () => {
  expect(flushAfter('configuration', 1 << 20)).toBe('now');
});
