import { compute } from './compute.js';
import { fakeTimers } from './fake-timers.js';

test('a GPU computes whose program replaces the timers before the import', async () => {
  fakeTimers(import.meta.jest ?? vi);
  const { create, globals } = await import('farlight');
  Object.assign(globalThis, globals);
  expect(await compute(create())).toMatchObject({ sum: 42 });
});
