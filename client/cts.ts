/**
 * A GPU provider for the WebGPU conformance test suite (https://github.com/gpuweb/cts): the file to name with
 * `--gpu-provider`. The suite's runner loads it with `require`. Node can do that because no module here
 * awaits at its top level (since 20.19 and 22.12).
 */

import { installGlobals } from './globals.js';
import { create as createGpu } from './index.js';

// The suite reads the classes and constants as globals, some of them while its files load.
installGlobals();

/**
 * The runner calls this once, before the first test.
 *
 * @param flags The flags of `create`; the runner gets them as `--gpu-provider-flag host=grpc://...`.
 * @throws FarlightError BAD_OPTION or BAD_URL if a flag is wrong.
 */
export function create(flags: string[]): GPU {
  return createGpu(flags);
}
