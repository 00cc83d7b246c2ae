/**
 * Farlight for web pages: the same client, over a WebSocket. The exports are like those of the package
 * itself.
 */
import { FarlightError } from '../../proto/errors.js';
import { gpuOf } from '../api/device/gpu.js';
import { asException } from '../api/errors.js';
import { installGlobals, installGpu } from '../globals.js';
import { Session } from '../session/session.js';
import { installCanvases } from './canvas-contexts.js';
import { type CreateOptions, parseOptions } from './options.js';

export { FarlightError, type FarlightErrorCode } from '../../proto/errors.js';
export type { MemoryPeak, MemoryState } from '../../proto/session/memory.js';
export { close, gpuMemory, stats } from '../api/device/gpu.js';
export { type GpuLines, gpuLines, type Line } from '../api/device/gpu-lines.js';
export type { GpuMemory, Reservation } from '../api/device/gpu-memory.js';
export { globals } from '../globals.js';
export type { Stats } from '../session/stats.js';
export { canvasContext } from './canvas-contexts.js';
export type { CreateOptions } from './options.js';

/**
 * Makes a GPU at once, and changes nothing in the page. The host is reached when the program first asks for
 * an adapter. Use `canvasContext` for canvases.
 *
 * @throws FarlightError BAD_OPTION or BAD_URL if an option is wrong.
 */
export function create(options: CreateOptions = {}): GPU {
  const { protocol, host, pathname } = location;
  // A worker's script may be a blob, whose name differs each time.
  const program = protocol === 'blob:' ? origin : `${host}${pathname}`;
  const parsed = parseOptions(options);
  return gpuOf((stats) => new Session({ ...parsed, program, asException, stats }));
}

/**
 * Gives the page the GPU of a host. From then on `navigator.gpu`, the WebGPU globals and
 * `getContext('webgpu')` are Farlight's, also if the browser has its own. Load libraries after it: some look
 * for a GPU when they load.
 *
 * @param options the options of `create`, or only the host's address.
 * @returns the GPU, when the host has given an adapter. If it gives none, the page does not change.
 * @throws FarlightError (rejects) BAD_OPTION, BAD_URL, UNREACHABLE, UNAUTHORIZED, NO_ADAPTER, or another
 *   code.
 */
export async function install(options: CreateOptions | string = {}): Promise<GPU> {
  const gpu = create(typeof options === 'string' ? { host: options } : options);
  if (!(await gpu.requestAdapter())) {
    throw new FarlightError('NO_ADAPTER', 'the host has no GPU; run farlight doctor there to see why');
  }
  installGpu(navigator, gpu);
  installGlobals();
  installCanvases();
  return gpu;
}
