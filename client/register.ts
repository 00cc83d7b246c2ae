/**
 * `node --import farlight/register app.mjs` installs `navigator.gpu` and the WebGPU globals before the
 * program's own imports, and replaces npm `webgpu`. Options come from the environment (FARLIGHT_HOST,
 * FARLIGHT_ADAPTER).
 */
import { isMainThread } from 'node:worker_threads';
import { globals, installGlobals, installGpu } from './globals.js';
import { create } from './index.js';
import { installNavigator } from './node/navigator.js';
import { replaceDawn } from './node/replace-dawn.js';
import { stayAwakeWhileCompiling } from './node/wasm-compilation.js';

const gpu = create();

const scope = globalThis as { navigator?: object };
if (scope.navigator === undefined) installNavigator();
installGpu(scope.navigator as object, gpu);
installGlobals();
replaceDawn({ create, globals });

if (isMainThread) stayAwakeWhileCompiling();
