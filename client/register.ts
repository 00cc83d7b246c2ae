/**
 * `node --import farlight/register app.mjs`: installs `navigator.gpu` and the WebGPU globals before the
 * program's own imports. Options come from the environment (FARLIGHT_HOST, FARLIGHT_ADAPTER).
 */
import { isMainThread } from 'node:worker_threads';
import { create, stats } from './index.js';
import { installGlobals, installGpu } from './install-globals.js';
import { installNavigator } from './navigator.js';
import { formatStats } from './stats-text.js';
import { stayAwakeWhileCompiling } from './wasm-compilation.js';

const gpu = create();

const scope = globalThis as { navigator?: object };
if (scope.navigator === undefined) installNavigator();
installGpu(scope.navigator as object, gpu);
installGlobals();

if (isMainThread) stayAwakeWhileCompiling();

if (process.env.FARLIGHT_STATS && isMainThread) {
  process.on('exit', () => {
    const counted = stats(gpu);
    if (counted.apiCalls > 0) process.stderr.write(formatStats(counted));
  });
}
