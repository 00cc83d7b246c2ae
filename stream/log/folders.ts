import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { codeOf, FarlightError } from '../../proto/errors.js';

/** Makes the folder of an application's state, for this user alone. @throws FarlightError BAD_OPTION */
export function makeState(folder: string): void {
  try {
    makeFolder(folder, 0o700);
  } catch (error) {
    const why = `the folder ${folder} cannot be made (${codeOf(error)}); name another one with --state`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
}

/** Makes a folder that a power cut does not take back, with the folders above it. */
export async function makeDurableFolder(folder: string): Promise<void> {
  const first = makeFolder(folder);
  for (let at = folder; first !== undefined && at.length >= first.length; at = dirname(at))
    await syncFolder(dirname(at));
}

/** Waits until the names in a folder are on the disk: until then a power cut may take back a file that was made. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
