import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { KEY_BYTES } from '../../../link/channel/hand-over.js';
import { type Deferred, deferred } from '../../../link/machine/deferred.js';
import type { ParkedPlace, ParkTarget } from '../../../proto/session/executor-messages.js';
import { makePrivate } from '../../trust/private-folder.js';

const DEFAULT_BYTES = 16 * 2 ** 30;

/** The names of the folders of this process. */
const OWN = new Set<string>();

/**
 * The files of parked sessions, each encrypted with a key of its own. Only this process has the keys: when it has ended,
 * nobody can read a file, and the next host of this machine removes it.
 */
export class ParkedStore {
  readonly #folder: string;
  readonly #mostBytes: number;
  /** By path, the bytes of each complete file. */
  readonly #files = new Map<string, number>();
  /** The file that is being written. `over` resolves when it is complete, or removed. */
  #writing: { readonly path: string; readonly over: Deferred<void> } | undefined;

  /**
   * @param root the folder above the folders of hosts.
   * @param mostBytes the most bytes of all files. Default: 16 GiB, or half of the free disk space if that is less.
   * @throws FarlightError TRUST_UNUSABLE where other users may read the folder, or it cannot be made.
   */
  constructor(root: string, mostBytes?: number) {
    makePrivate(root);
    removeStale(root);
    const name = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`;
    OWN.add(name);
    this.#folder = join(root, name);
    mkdirSync(this.#folder, { mode: 0o700 });
    this.#mostBytes = mostBytes ?? defaultBytes(root);
  }

  /** The bytes of all files. */
  get bytes(): number {
    return [...this.#files.values()].reduce((sum, bytes) => sum + bytes, 0);
  }

  /** A place for a new file, with the most bytes that it may have. Undefined while another file is being written. */
  begin(): ParkTarget | undefined {
    if (this.#writing !== undefined) return undefined;
    const place = {
      path: this.#newPath(),
      key: randomBytes(KEY_BYTES),
      mostBytes: Math.max(0, this.#mostBytes - this.bytes),
    };
    this.#writing = { path: place.path, over: deferred() };
    return place;
  }

  /**
   * Resolves to the path for a file of so many bytes that comes from another host; to undefined where there is no room for
   * it. The file that is being written may take all that is left, so this waits for its end.
   */
  async receive(bytes: number): Promise<string | undefined> {
    while (this.#writing) await this.#writing.over.promise;
    if (this.bytes + bytes > this.#mostBytes) return undefined;
    const path = this.#newPath();
    this.#files.set(path, bytes);
    return path;
  }

  /** The bytes of a file. */
  bytesOf({ path }: Pick<ParkedPlace, 'path'>): number {
    return this.#files.get(path) ?? 0;
  }

  /** The file is complete. */
  stored({ path }: ParkedPlace, bytes: number): void {
    this.#files.set(path, bytes);
    this.#written(path);
  }

  /** Removes a file, complete or not. */
  remove({ path }: Pick<ParkedPlace, 'path'>): void {
    this.#files.delete(path);
    rmSync(path, { force: true });
    this.#written(path);
  }

  #written(path: string): void {
    if (this.#writing?.path !== path) return;
    this.#writing.over.resolve();
    this.#writing = undefined;
  }

  #newPath(): string {
    return join(this.#folder, randomBytes(16).toString('hex'));
  }

  /** Removes the folder. */
  close(): void {
    this.#files.clear();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Half of the free disk space, or 16 GiB if that is less. */
function defaultBytes(root: string): number {
  const { bavail, bsize } = statfsSync(root);
  return Math.min(DEFAULT_BYTES, Math.floor((bavail * bsize) / 2));
}

/** Removes the folders of hosts of this machine that have ended. */
function removeStale(root: string): void {
  for (const name of readdirSync(root)) {
    const [, host, pid] = /^(.*)-(\d+)-[0-9a-f]{8}$/.exec(name) ?? [];
    if (host !== hostname() || OWN.has(name)) continue;
    // In a container each host has the same number.
    if (Number(pid) === process.pid || !isAlive(Number(pid)))
      rmSync(join(root, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // The process of another user.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
