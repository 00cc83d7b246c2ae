/**
 * `node --import farlight/register app.mjs`: installs `navigator.gpu` and the WebGPU globals before the
 * program's own imports. Options come from the environment (FARLIGHT_HOST, FARLIGHT_ADAPTER).
 */
import { isMainThread } from 'node:worker_threads';
import { create, stats } from './index.js';
import { installGlobals, installGpu } from './install-globals.js';
import { formatStats } from './stats-text.js';
import { stayAwakeWhileCompiling } from './wasm-compilation.js';

const gpu = create();

// Node 21 and newer have a navigator; older ones get what those would show, since libraries read it.
const scope = globalThis as { navigator?: object };
if (scope.navigator === undefined) {
  Object.defineProperty(globalThis, 'navigator', {
    value: {
      userAgent: `Node.js/${process.versions.node.split('.')[0]}`,
      language: 'en-US',
      languages: ['en-US'],
    },
    configurable: true,
    enumerable: true,
    writable: true,
  });
}
installGpu(scope.navigator as object, gpu);
installGlobals();

if (isMainThread) stayAwakeWhileCompiling();

if (process.env.FARLIGHT_STATS && isMainThread) {
  process.on('exit', () => {
    const counted = stats(gpu);
    if (counted.apiCalls > 0) process.stderr.write(formatStats(counted));
  });
}
