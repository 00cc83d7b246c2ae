import { loadInstalled } from '../../link/files/load-reader.js';

/**
 * Loads a module that needs packages which a small client is installed without.
 *
 * @param packages their names, as npm install takes them.
 * @throws FarlightError NOT_INSTALLED (rejects) where one of them is missing.
 */
export function loadWith<Module>(packages: string, load: () => Promise<Module>): Promise<Module> {
  return loadInstalled(load, `farlight infer needs packages that are not there: run npm install ${packages}`);
}
