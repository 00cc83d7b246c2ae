/**
 * Node's own timers and clock, from its modules. A program's tests may have replaced the globals before Farlight is
 * loaded. Browser-like environments of test runners lack some of them.
 */
import { performance } from 'node:perf_hooks';
import * as timers from 'node:timers';

// These constants keep the functions. If a tool replaces a function of the module, a re-export would change with it.
export const { setTimeout, clearTimeout, setInterval, clearInterval, setImmediate, clearImmediate } = timers;
export { performance };
