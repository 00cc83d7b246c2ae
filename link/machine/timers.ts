/**
 * The timers and the clock of Node itself, from its modules: a program's tests may have replaced the globals before
 * Farlight is loaded, and browser-like environments of test runners lack some.
 */
import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

// As values: tools that replace the modules' functions may have those that import them see it.
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = timers;
export { performance };
