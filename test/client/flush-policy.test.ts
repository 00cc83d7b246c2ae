import { expect, it } from 'vitest';
import { flushAfter } from '#farlight/client/session/flush-policy.js';

const SMALL = { length: 100, commands: 5 };

it('commands that only configure wait for the end of the task', () => {
  expect(flushAfter('configuration', SMALL)).toBe('task');
});

it('an awaited command leaves with the current job, together with the commands before it', () => {
  expect(flushAfter('awaited', SMALL)).toBe('microtask');
});

it('a small submit leaves with the current job, so that a mapAsync after it can join', () => {
  expect(flushAfter('submit', SMALL)).toBe('microtask');
});

it('a submit with work behind it leaves at once, so that the GPU can start', () => {
  expect(flushAfter('submit', { length: 10_000, commands: 10 })).toBe('now');
  expect(flushAfter('submit', { length: 10, commands: 300 })).toBe('now');
});

it('a large flush leaves at once, whatever is in it', () => {
  expect(flushAfter('configuration', { length: 1 << 20, commands: 10 })).toBe('now');
  expect(flushAfter('configuration', { length: 10, commands: 10_000 })).toBe('now');
});
