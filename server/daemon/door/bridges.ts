import { randomBytes } from 'node:crypto';
import { lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';
import { fitsUnixSocket } from '../../../link/address/unix-path.js';
import { clearTimeout, setTimeout, wallClock } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import { connectError } from './connect-error.js';
import { listenAt } from './listen-address.js';

const PREFIX = 'farlight-bridges-';
const SOCKET = 's';
/** What an end of a bridge says first, so that the other one finds it. */
const NAME_BYTES = 16;
/** How long an end may take to say it, in milliseconds. */
const NAME_MS = 5000;
/** A folder without a socket is one that is being made, unless it is so old, in milliseconds. */
const UNFINISHED_MS = 60_000;

/**
 * Plain sockets for connections that cannot be handed to another process as they are: a TLS connection's keys are in
 * this one, and so is what cuts a WebSocket into messages. A bridge carries such a connection, both ways, over a unix socket to an end of its own, which can be.
 *
 * The ends meet in a folder that this user alone may enter, and find each other by a random name. A daemon that was
 * killed leaves its folder behind; the next one removes it.
 */
export class Bridges {
  readonly #folder: string;
  readonly #server: Server;
  /** By name: who waits for the far end of a bridge. */
  readonly #expected = new Map<string, (far: Socket) => void>();
  /** Connections that are carried, until both sides are done. */
  readonly #carried = new Set<Duplex>();
  #closed = false;

  /**
   * @param base where the folder is made. Default: the user's runtime folder, or the one for temporary files.
   * @throws FarlightError BAD_OPTION where no socket can be made there, or on this system (rejects).
   */
  static async open(
    base: string = baseFolder(),
    platform: NodeJS.Platform = process.platform,
  ): Promise<Bridges> {
    if (platform === 'win32') {
      throw new FarlightError(
        'BAD_OPTION',
        'on Windows a host has neither TLS nor pages, whose connections it carries over a unix socket, which Node has not there; ' +
          'listen on loopback with --no-dashboard, or run it in WSL',
      );
    }
    let bridges: Bridges | undefined;
    try {
      await removeStale(base);
      bridges = new Bridges(mkdtempSync(join(base, PREFIX)));
      await listenAt(bridges.#server, { path: join(bridges.#folder, SOCKET) });
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

  /** How many connections are carried. */
  get size(): number {
    return this.#carried.size;
  }

  /**
   * Carries a connection, of which nothing is read meanwhile by others. Where one side dies the other is closed.
   *
   * @param use is given the end that another process may have, in a later turn of the event loop. It returns false
   *   where nobody wants it any more; the connection is then the caller's own again.
   * @param failed is called instead where there is no bridge to be had, or the connection is gone meanwhile.
   */
  carry(outer: Duplex, use: (end: Socket) => boolean, failed: (cause: Error) => void): void {
    const name = randomBytes(NAME_BYTES);
    const key = name.toString('hex');
    const near = connect({ path: join(this.#folder, SOCKET), allowHalfOpen: true });
    const fail = (cause: Error) => {
      if (this.#expected.delete(key)) failed(cause);
      near.destroy();
    };
    near.on('error', fail);
    near.once('close', () => fail(new Error('closed')));
    this.#expected.set(key, (far) => {
      this.#expected.delete(key);
      if (!outer.destroyed && use(far)) {
        this.#join(outer, near);
        return;
      }
      far.destroy();
      near.destroy();
      if (outer.destroyed) failed(new Error('the client has gone'));
    });
    near.write(name);
  }

  /** Ends what is carried when it has arrived, or after `graceMs`, and leaves nothing behind. */
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
    // Those of two pipelines, of TLS or a WebSocket, and of who accepted it are more than Node takes for no leak.
    outer.setMaxListeners(32);
    // A client that has said its last word still hears the host's.
    outer.allowHalfOpen = true;
    // An end that breaks takes the other with it; that a connection broke is said by who uses it.
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

/** The user's own folder for sockets, where there is one and paths in it are not too long. */
function baseFolder(): string {
  const fits = (base: string) => fitsUnixSocket(join(base, `${PREFIX}xxxxxx`, SOCKET));
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime && fits(runtime) && isOwnFolder(runtime)) return runtime;
  return fits(tmpdir()) ? tmpdir() : '/tmp';
}

function isOwnFolder(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.getuid?.();
}

/** Removes what daemons of this user have left that were killed: nobody listens there any more. */
async function removeStale(base: string): Promise<void> {
  for (const entry of readdirSync(base)) {
    const folder = join(base, entry);
    if (!entry.startsWith(PREFIX) || !isOwnFolder(folder)) continue;
    const code = await connectError(join(folder, SOCKET));
    const age = wallClock() - (lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    if (code === 'ECONNREFUSED' || (code === 'ENOENT' && age > UNFINISHED_MS)) {
      rmSync(folder, { recursive: true, force: true });
    }
  }
}
