import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { isPrivate, nearAddress } from '../../../link/address/near-address.js';
import { connectError } from './connect-error.js';
import { listenAt } from './listen-address.js';

/**
 * A unix socket beside a host's loopback port, by which its own user's programs on this machine find it. Hosts that
 * were killed leave theirs behind; the next one removes them.
 */
export class NearDoor {
  readonly #server: Server;

  /** Undefined where there can be none: clients come by the port then. */
  static async open(
    { address, port }: AddressInfo,
    onConnection: (socket: Socket) => void,
  ): Promise<NearDoor | undefined> {
    const near = nearAddress(address, port);
    if (!near) return undefined;
    const server = createServer({ pauseOnConnect: false }, onConnection);
    try {
      mkdirSync(near.folder, { mode: 0o700, recursive: true });
      if (!isPrivate(near.folder)) return undefined;
      await removeStale(near.folder);
      await listenAt(server, near);
      return new NearDoor(server);
    } catch {
      return undefined;
    }
  }

  private constructor(server: Server) {
    this.#server = server;
  }

  close(): void {
    this.#server.close();
  }
}

/** Removes the sockets at which nobody listens any more. */
async function removeStale(folder: string): Promise<void> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isSocket() && (await connectError(path)) === 'ECONNREFUSED') rmSync(path, { force: true });
  }
}
