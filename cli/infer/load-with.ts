import { FarlightError } from '../../proto/errors.js';

/**
 * Loads a module that needs packages which a small client is installed without.
 *
 * @param packages their names, as npm install takes them.
 * @throws FarlightError BAD_OPTION (rejects) where one of them is missing.
 */
export async function loadWith<Module>(packages: string, load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    const message = `farlight infer needs packages that are not there: run npm install ${packages}`;
    throw new FarlightError('BAD_OPTION', message, { cause: error });
  }
}
