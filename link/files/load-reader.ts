import { codeOf, FarlightError } from '../../proto/errors.js';

/**
 * Loads a module that reads files which people write. It takes two packages, and a small client is installed without them.
 *
 * @throws FarlightError NOT_INSTALLED where they are not there (rejects).
 */
export async function loadReader<T>(load: () => Promise<T>, what: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (codeOf(error) !== 'ERR_MODULE_NOT_FOUND') throw error;
    const sentence = `${what} are read with two packages: run npm install yaml ajv`;
    throw new FarlightError('NOT_INSTALLED', sentence, { cause: error });
  }
}
