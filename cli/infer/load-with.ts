import { setFlagsFromString } from 'node:v8';
import { loadInstalled } from '../../link/files/load-installed.js';

/**
 * Loads a module that needs packages which a small client is installed without.
 *
 * @param packages their names, as npm install takes them.
 * @throws FarlightError NOT_INSTALLED (rejects) where one of them is missing.
 */
export function loadWith<Module>(
  packages: string,
  load: () => Promise<Module>,
  command: 'infer' | 'stream' = 'infer',
): Promise<Module> {
  const sentence = `farlight ${command} needs packages that are not there: run npm install ${packages}`;
  return loadInstalled(load, sentence);
}

/**
 * Keeps V8 from optimising ONNX Runtime's module, which takes all cores for a minute and cannot be ended before. Lanes
 * compute on the GPU.
 */
export function leaveOnnxRuntimeUnoptimised(): void {
  setFlagsFromString('--liftoff-only');
}
