import { create, globals } from 'farlight';
import { compute } from './compute.js';
import { fakeTimers } from './fake-timers.js';

test('a GPU computes whose program replaces the timers behind the import', async () => {
  fakeTimers(import.meta.jest ?? vi);
  Object.assign(globalThis, globals);
  expect(await compute(create())).toMatchObject({ sum: 42 });
});
