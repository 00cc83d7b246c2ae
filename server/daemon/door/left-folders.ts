import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fitsUnixSocket } from '../../../link/address/unix-path.js';
import { isLeft, listenAndName, UNFINISHED } from './sockets.js';

/** The socket in a folder of a process, on which it listens as long as it lives. */
export const PLACE_SOCKET = 's';

/**
 * Makes a folder for this process alone. Where it is killed, `removeLeftFolders` of another one removes the folder. It stays
 * where this system or the folder's path allows no socket.
 *
 * @throws the system's error (rejects).
 */
export async function makeOwnFolder(base: string, prefix: string): Promise<string> {
  const folder = mkdtempSync(join(base, prefix));
  const socket = join(folder, PLACE_SOCKET);
  if (process.platform === 'win32' || !fitsUnixSocket(socket + UNFINISHED)) return folder;
  const server = createServer((probe) => probe.destroy());
  // Without the socket the folder is as good, and only stays after a kill.
  await listenAndName(server, socket).catch(() => {});
  server.unref();
  return folder;
}

/**
 * Removes the folders that this user's killed processes have left: nobody listens there.
 *
 * @param unfinished also old ones without a socket, where each process that lives has one.
 */
export async function removeLeftFolders(base: string, prefix: string, unfinished = false): Promise<void> {
  for (const entry of readdirSync(base)) {
    const folder = join(base, entry);
    const socket = join(folder, PLACE_SOCKET);
    if (!entry.startsWith(prefix) || !fitsUnixSocket(socket + UNFINISHED) || !isOwnFolder(folder)) continue;
    // Without a socket nobody says whether its process lives.
    if (!unfinished && !existsSync(socket)) continue;
    if (await isLeft(socket, unfinished ? folder : socket)) rmSync(folder, { recursive: true, force: true });
  }
}

export function isOwnFolder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.getuid?.();
}
