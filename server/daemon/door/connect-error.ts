import { connect } from 'node:net';

/** Why a unix socket cannot be connected to, as the system calls it; undefined where it can. */
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
