import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { fitsUnixSocket } from '../../../link/address/unix-path.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError, invariant } from '../../../proto/errors.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { isOwnFolder, PLACE_SOCKET, removeLeftFolders } from './left-folders.js';
import { listenAndName, UNFINISHED } from './sockets.js';

const PREFIX = 'farlight-bridges-';
/** The length of a bridge's name, which its near end sends first, so that the far end recognises it. */
const NAME_BYTES = 16;
/** How long an end may take to send its name, in milliseconds. */
const NAME_MS = 5000;

/**
 * Bridges for connections that no other process can take over: this process holds a TLS connection's keys, and cuts a
 * WebSocket into messages. A bridge carries such a connection, both ways, over a unix socket. Another process can take
 * over the socket's far end.
 *
 * The ends meet in a folder that only this user can enter, and find each other by a random name. A killed daemon leaves
 * its folder behind, and the next one removes it.
 */
export class Bridges {
  readonly #folder: string;
  readonly #server: Server;
  /** By name: takes the far end of a bridge when it arrives. */
  readonly #expected = new Map<string, (far: Socket) => void>();
  /** The connections on bridges, until both sides have closed. */
  readonly #carried = new Set<Duplex>();
  #closed = false;

  /**
   * @param base the folder in which to make one. Default: the user's runtime folder, or the one for temporary files.
   * @throws FarlightError BAD_OPTION where that folder, or this system, allows no unix socket (rejects).
   */
  static async open(
    base: string = baseFolder(),
    platform: NodeJS.Platform = process.platform,
  ): Promise<Bridges> {
    if (platform === 'win32') {
      throw new FarlightError(
        'BAD_OPTION',
        'on Windows a host serves neither TLS nor web pages: their connections need a unix socket, which Node does not have there; ' +
          'listen on loopback with --no-dashboard, or run the host in WSL',
      );
    }
    let bridges: Bridges | undefined;
    try {
      await removeLeftFolders(base, PREFIX, true);
      bridges = new Bridges(mkdtempSync(join(base, PREFIX)));
      await listenAndName(bridges.#server, join(bridges.#folder, PLACE_SOCKET));
      return bridges;
    } catch (cause) {
      await bridges?.close(0);
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new FarlightError(
        'BAD_OPTION',
        `farlight cannot make a socket for TLS connections in ${base} (${code ?? message}); name another folder with TMPDIR`,
        { cause },
      );
    }
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.#server = createServer({ pauseOnConnect: false }, (far) => this.#accept(far));
  }

  /** How many connections are on bridges. */
  get size(): number {
    return this.#carried.size;
  }

  /**
   * Puts a connection on a bridge. Nobody else may read from it. Where one side breaks, the other closes.
   *
   * @param use receives the far end, in a later turn of the event loop. It returns false where nobody needs the end any
   *   more; the connection then belongs to the caller again.
   * @param failed is called instead where no bridge can be made, or the connection has closed meanwhile.
   */
  carry(outer: Duplex, use: (end: Socket) => boolean, failed: (cause: Error) => void): void {
    const name = randomBytes(NAME_BYTES);
    const key = name.toString('hex');
    const near = connect({ path: join(this.#folder, PLACE_SOCKET), allowHalfOpen: true });
    const fail = (cause: Error) => {
      if (this.#expected.delete(key)) failed(cause);
      near.destroy();
    };
    near.on('error', fail);
    near.once('close', () => fail(new Error('closed')));
    // The acceptor has hung up, and this end may stay half open.
    near.once('end', () => {
      if (this.#expected.has(key)) fail(new Error('closed'));
    });
    this.#expected.set(key, (far) => {
      this.#expected.delete(key);
      if (!outer.destroyed && use(far)) {
        this.#join(outer, near);
        return;
      }
      far.destroy();
      near.destroy();
      if (outer.destroyed) failed(new Error('the client has disconnected'));
    });
    near.write(name);
  }

  /** Waits until the connections have ended, at most `graceMs`. Then closes them, and removes the folder. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    if (this.#carried.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        for (const socket of this.#carried) {
          socket.once('close', () => {
            if (this.#carried.size > 0) return;
            clearTimeout(timer);
            resolve();
          });
        }
      });
    }
    for (const socket of this.#carried) socket.destroy();
    this.#server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #join(outer: Duplex, near: Socket): void {
    this.#carried.add(outer);
    outer.once('close', () => this.#carried.delete(outer));
    // Two pipelines, TLS or a WebSocket, and the acceptor all listen: more listeners than Node allows by default.
    outer.setMaxListeners(32);
    // A client that has finished sending still receives.
    outer.allowHalfOpen = true;
    // A broken end closes the other. The user of the connection reports the error.
    pipeline(outer, near, () => {});
    pipeline(near, outer, () => {});
  }

  #accept(far: Socket): void {
    far.on('error', () => {});
    const timer = setTimeout(() => far.destroy(), NAME_MS).unref();
    far.once('close', () => clearTimeout(timer));
    const read = () => {
      const name: Buffer | null = far.read(NAME_BYTES);
      if (!name) return;
      clearTimeout(timer);
      far.off('readable', read);
      far.pause();
      const take = this.#closed ? undefined : this.#expected.get(name.toString('hex'));
      if (take) take(far);
      else far.destroy();
    };
    far.on('readable', read);
  }
}

/**
 * Hands a connection over in a form that another process can take: the connection itself, or the far end of a bridge.
 *
 * @param bridges required where the connection may be one that needs a bridge.
 * @param use receives the socket, now or in a later turn of the event loop. It returns false where nobody needs it any
 *   more; the connection then belongs to the caller again.
 * @param failed is called instead where no bridge can be made, or the connection has closed meanwhile.
 */
export function handOver(
  connection: Duplex,
  bridges: Bridges | undefined,
  use: (socket: Socket) => boolean,
  failed: (end: SessionEnd) => void,
): void {
  // A plain socket is just a descriptor: this process adds nothing to its bytes.
  if (connection instanceof Socket && !(connection instanceof TLSSocket)) {
    use(connection);
    return;
  }
  invariant(bridges, 'there are bridges for a connection that needs one');
  bridges.carry(connection, use, (cause) => {
    const message = `the host cannot pass the connection on to its GPU executor (${cause.message}); ask its owner to start it again`;
    failed({ code: 'EXECUTOR_LOST', message });
  });
}

/** The user's own folder for sockets, if there is one and its path is short enough. */
function baseFolder(): string {
  const fits = (base: string) => fitsUnixSocket(join(base, `${PREFIX}xxxxxx`, PLACE_SOCKET + UNFINISHED));
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime && fits(runtime) && isOwnFolder(runtime)) return runtime;
  return fits(tmpdir()) ? tmpdir() : '/tmp';
}
