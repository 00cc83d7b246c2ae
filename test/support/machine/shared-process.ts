// Runs around each test file that shares its process with others (vitest.config.ts): nothing of the file may remain.
import { afterAll, beforeAll } from 'vitest';
import { changes, type ProcessState, processState } from './process-state.js';

const HINT =
  'a file that shares its process leaves nothing there; test/support/machine/own-process.ts says which do';

/** How often to look for what was closed at the end of a test, and goes a little later. */
const LOOKS = 400;

let before: ProcessState;
const { dlopen } = process;

// In a hook, as the end: a hook has a timer of its own.
beforeAll(() => {
  before = processState();
  // A native module may end the process, with the tests of other files.
  process.dlopen = () => {
    throw new Error(`a native module was to be loaded; ${HINT}`);
  };
});

afterAll(async () => {
  process.dlopen = dlopen;
  let left = changes(before, processState());
  for (let look = 0; look < LOOKS && left.length > 0; look += 1) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    left = changes(before, processState());
  }
  if (left.length > 0) throw new Error(`this file has left ${left.join(', ')}; ${HINT}`);
});
