// `--import` this into a workload: the workload gets this machine's own GPU, which Dawn opens as in a host.
import { globals } from 'webgpu';
import { stayAwakeWhileCompiling } from '../dist/client/node/wasm-compilation.js';
import { openGpu } from '../dist/server/gpu/open-gpu.js';
import { copyOutOfSharedMemory } from '../test/support/gpus/shared-memory.mjs';

const { gpu } = await openGpu(process.env.FARLIGHT_ADAPTER ?? 'software');
copyOutOfSharedMemory(globals);
stayAwakeWhileCompiling();
Object.assign(globalThis, globals);
if (!globalThis.navigator)
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js' } });
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
