import { syncBuiltinESMExports } from 'node:module';
import { vi } from 'vitest';

/** Fake timers for Farlight too, which takes Node's when it is loaded: to be called before, by `vi.hoisted`. */
export function fakeTimers(options: Parameters<typeof vi.useFakeTimers>[0] = {}): void {
  vi.useFakeTimers(options);
  const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = globalThis;
  const timers = { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate };
  Object.assign(process.getBuiltinModule('node:timers'), timers);
  Object.assign(process.getBuiltinModule('node:perf_hooks'), { performance: globalThis.performance });
  syncBuiltinESMExports();
}
