// `--import`ed into a workload: gives it this machine's own GPU, by Dawn, as Farlight's host opens it.
import { globals } from 'webgpu';
import { openGpu } from '../dist/server/dawn.js';

const { gpu } = await openGpu(process.env.FARLIGHT_ADAPTER ?? 'software');
Object.assign(globalThis, globals);
if (!globalThis.navigator)
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: 'Node.js' } });
Object.defineProperty(globalThis.navigator, 'gpu', { value: gpu, configurable: true });
