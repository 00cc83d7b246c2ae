/**
 * A GPU provider for the WebGPU conformance test suite (https://github.com/gpuweb/cts): the file to name
 * with `--gpu-provider`. The suite's runner `require`s it, which Node can do with a module that awaits
 * nothing at its top level (since 20.19 and 22.12).
 */

import { installGlobals } from './globals.js';
import { create as createGpu } from './index.js';

// The suite reads the classes and constants as globals, some of them while its files are loaded.
installGlobals();

/**
 * What the runner calls once, before the first test.
 *
 * @param flags Those of `create`, given to the runner as `--gpu-provider-flag host=grpc://...` and the like.
 * @throws FarlightError BAD_OPTION or BAD_URL where a flag is not one.
 */
export function create(flags: string[]): GPU {
  return createGpu(flags);
}
