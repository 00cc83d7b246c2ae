import { expect, it } from 'vitest';
import { observeTogether, type SessionObserver } from '#farlight/client/session/observer.js';

it('each of several observers gets only the events that it asks for, and others cost nothing', () => {
  const heard: string[] = [];
  const first: SessionObserver = {
    now: () => 5,
    awaited: ({ label }) => {
      heard.push(`first awaits ${label}`);
      return (error) => heard.push(`first has ${error?.message ?? label}`);
    },
  };
  const second: SessionObserver = {
    awaited: ({ label }) => {
      heard.push(`second awaits ${label}`);
      return () => heard.push(`second has ${label}`);
    },
    flushed: ({ bytes }) => heard.push(`second sees ${bytes} bytes`),
  };
  const together = observeTogether([first, second]);
  const settle = together?.awaited?.({ operation: undefined as never, label: 'x' });
  together?.flushed?.({ start: 0, commands: 1, bytes: 9 });
  settle?.(new Error('y'));
  expect(heard).toEqual([
    'first awaits x',
    'second awaits x',
    'second sees 9 bytes',
    'first has y',
    'second has x',
  ]);
  expect([together?.now?.(), Object.keys(together ?? {}).sort()]).toEqual([5, ['awaited', 'flushed', 'now']]);
  expect(observeTogether([])).toBeUndefined();
  expect(observeTogether([second])).toBe(second);
});
