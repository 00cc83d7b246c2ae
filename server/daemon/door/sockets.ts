import { chmodSync } from 'node:fs';
import { connect, type ListenOptions, type Server } from 'node:net';
import { isMainThread } from 'node:worker_threads';

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

/** The system's error code when connecting to a unix socket fails; undefined where it succeeds. */
export function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(undefined);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}
