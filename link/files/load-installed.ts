import { codeOf, FarlightError } from '../../proto/errors.js';

/**
 * Loads a module that needs packages which a small client is installed without.
 *
 * @param sentence says what to install.
 * @throws FarlightError NOT_INSTALLED where one of the packages is not there (rejects).
 */
export async function loadInstalled<T>(load: () => Promise<T>, sentence: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new FarlightError('NOT_INSTALLED', sentence, { cause: error });
  }
}
