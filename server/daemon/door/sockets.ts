import { chmodSync, lstatSync, renameSync } from 'node:fs';
import { connect, type ListenOptions, type Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';
import { wallClock } from '../../../link/machine/clock.js';

/** The end of a unix socket's name until its server listens. */
export const UNFINISHED = '~';
/** An unfinished socket or folder that is older than this was left by a killed host, in milliseconds. */
const UNFINISHED_MS = 60_000;

/**
 * Makes a server listen. A unix socket is private to its own user from the first instant; then its file gets `mode`.
 *
 * @throws the bind error (rejects).
 */
export function listenAt(server: Server, where: ListenOptions, mode = 0o600): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    const listening = () => {
      server.off('error', reject);
      // A process without free descriptors accepts no connection, and carries on with the ones it has.
      server.on('error', () => {});
      resolve();
    };
    if (where.path === undefined) {
      server.listen(where, listening);
      return;
    }
    const { path } = where;
    // `listen` makes the file before it returns. A worker thread cannot set the process's umask.
    const mask = isMainThread ? process.umask(0o177) : undefined;
    server.listen(where, () => {
      try {
        chmodSync(path, mode);
        listening();
      } catch (error) {
        reject(error);
      }
    });
    if (mask !== undefined) process.umask(mask);
  });
}

/**
 * Makes a server listen at a unix socket that no other process makes, and that others remove if nobody listens there. A
 * socket has its name before the system lets its server listen. So it gets its own name after that: else a host that
 * starts at the same time would remove it.
 *
 * @throws the bind error (rejects).
 */
export async function listenAndName(server: Server, path: string): Promise<void> {
  await listenAt(server, { path: path + UNFINISHED });
  renameSync(path + UNFINISHED, path);
}

/** Whether a killed host has left a unix socket of `listenAndName`, or the place for one. */
export async function isLeft(path: string, place: string = path): Promise<boolean> {
  const code = await connectError(path);
  if (code === 'ECONNREFUSED' && !path.endsWith(UNFINISHED)) return true;
  if (code !== 'ECONNREFUSED' && code !== 'ENOENT') return false;
  const stats = lstatSync(place, { throwIfNoEntry: false });
  return stats !== undefined && wallClock() - stats.mtimeMs > UNFINISHED_MS;
}

/** The system's error code when connecting to a unix socket fails; undefined where it succeeds. */
function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}
