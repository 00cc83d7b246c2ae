import { readdirSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { isPrivate, nearAddress } from '../../../link/address/near-address.js';
import { makeFolder } from '../../../link/files/make-folder.js';
import { isLeft, listenAndName } from './sockets.js';

/**
 * A unix socket beside a host's loopback port. Programs of the same user on this machine find the host there. A killed
 * host leaves its socket behind, and the next host removes it.
 */
export class NearSocket {
  readonly #server: Server;
  readonly #path: string;

  /** Undefined where this machine allows none: clients use the port then. */
  static async open(
    { address, port }: AddressInfo,
    onConnection: (socket: Socket) => void,
  ): Promise<NearSocket | undefined> {
    const near = nearAddress(address, port);
    if (!near) return undefined;
    const server = createServer({ pauseOnConnect: false }, onConnection);
    try {
      makeFolder(near.folder, 0o700);
      if (!isPrivate(near.folder)) return undefined;
      await removeStale(near.folder);
      await listenAndName(server, near.path);
      return new NearSocket(server, near.path);
    } catch {
      server.close();
      return undefined;
    }
  }

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  close(): void {
    this.#server.close();
    rmSync(this.#path, { force: true });
  }
}

/** Removes the sockets on which no process listens. */
async function removeStale(folder: string): Promise<void> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isSocket() && (await isLeft(path))) rmSync(path, { force: true });
  }
}
