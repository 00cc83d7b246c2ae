import { describe, expect, it, onTestFinished } from 'vitest';
import { needsOwnProcess, testFiles } from '../support/machine/own-process.js';
import { changes, processState } from '../support/machine/process-state.js';

describe('a test file has a process of its own', () => {
  it.each([
    ['starts processes, through a module of the tests', 'test/pool/portal/portal.test.ts'],
    ['may start threads, through a module of the package', 'test/pool/keeper.test.ts'],
    ['replaces timers', 'test/link/connection.test.ts'],
    ['opens a native GPU', 'test/conformance/queue.spec.ts'],
    ['changes variables', 'test/trust/token-store.test.ts'],
  ])('where it %s', (_, file) => {
    expect(needsOwnProcess(file)).toBe(true);
  });

  it('only where it needs one', () => {
    expect(needsOwnProcess('test/wire/packet.test.ts')).toBe(false);
    expect(testFiles('test').filter((file) => !needsOwnProcess(file)).length).toBeGreaterThan(100);
  });
});

describe('what a test file leaves in a process that others share is told', () => {
  it.each<[string, () => () => void]>([
    [
      'the variable FARLIGHT_LEFT',
      () => {
        process.env.FARLIGHT_LEFT = '1';
        return () => delete process.env.FARLIGHT_LEFT;
      },
    ],
    [
      'the working folder',
      () => {
        const folder = process.cwd();
        process.chdir('/');
        return () => process.chdir(folder);
      },
    ],
    [
      'listeners to SIGUSR2 of the process',
      () => {
        const heard = () => {};
        process.on('SIGUSR2', heard);
        return () => process.off('SIGUSR2', heard);
      },
    ],
    [
      'the global structuredClone',
      () => {
        const { structuredClone } = globalThis;
        globalThis.structuredClone = (() => {}) as typeof structuredClone;
        return () => {
          globalThis.structuredClone = structuredClone;
        };
      },
    ],
    [
      'the global left',
      () => {
        Object.assign(globalThis, { left: 1 });
        return () => Reflect.deleteProperty(globalThis, 'left');
      },
    ],
    [
      'Timeout that is still open',
      () => {
        const timer = setTimeout(() => {}, 60_000);
        return () => clearTimeout(timer);
      },
    ],
  ])('as %s', (told, leave) => {
    const before = processState();
    expect(changes(before, processState())).toEqual([]);
    const undo = leave();
    onTestFinished(undo);
    expect(changes(before, processState())).toContain(told);
  });
});
