import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes a folder that a power cut does not take back, with the folders above it. */
export async function makeFolder(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
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
