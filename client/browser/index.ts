/**
 * Farlight for web pages: the same client, over a WebSocket. The exports have the shape of the package's own.
 */
import { FarlightError } from '../../proto/errors.js';
import { gpuOf } from '../api/device/gpu.js';
import { asException } from '../api/errors.js';
import { installGlobals, installGpu } from '../globals.js';
import { Session } from '../session/session.js';
import { installCanvases } from './canvas-contexts.js';
import { type CreateOptions, parseOptions } from './options.js';

export { FarlightError, type FarlightErrorCode } from '../../proto/errors.js';
export { close, stats } from '../api/device/gpu.js';
export { globals } from '../globals.js';
export type { Stats } from '../session/ledger.js';
export { canvasContext } from './canvas-contexts.js';
export type { CreateOptions } from './options.js';

/**
 * Makes a GPU, at once, and changes nothing in the page; the host is reached when the program first asks for an
 * adapter. Its canvases are had from `canvasContext`.
 *
 * @throws FarlightError BAD_OPTION or BAD_URL where an option is not one.
 */
export function create(options: CreateOptions = {}): GPU {
  const { protocol, host, pathname } = location;
  // A worker's script may be a blob, whose name is another each time.
  const program = protocol === 'blob:' ? origin : `${host}${pathname}`;
  const parsed = parseOptions(options);
  return gpuOf((stats) => new Session({ ...parsed, program, asException, stats }));
}

/**
 * Gives the page the GPU of a host: `navigator.gpu`, the WebGPU globals and `getContext('webgpu')` are Farlight's from
 * then on, also where the browser has its own. Libraries are to be loaded after it: some look for a GPU as soon as
 * they are.
 *
 * @param options what `create` takes, or the host's address alone.
 * @returns the GPU, when the host has answered with an adapter. Where it has not, the page is left as it was.
 * @throws FarlightError (rejects) BAD_OPTION, BAD_URL, UNREACHABLE, UNAUTHORIZED, NO_ADAPTER, or why else not.
 */
export async function install(options: CreateOptions | string = {}): Promise<GPU> {
  const gpu = create(typeof options === 'string' ? { host: options } : options);
  if (!(await gpu.requestAdapter())) {
    throw new FarlightError('NO_ADAPTER', 'the host has no GPU; see there what farlight doctor says');
  }
  installGpu(navigator, gpu);
  installGlobals();
  installCanvases();
  return gpu;
}
