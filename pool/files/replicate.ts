import { createHash, randomBytes } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '../../link/files/make-folder.js';
import { wallClock } from '../../link/machine/clock.js';
import { FarlightError } from '../../proto/errors.js';
import { type Copied, Manifest, missing } from './manifest.js';

/** A file or a folder to copy: from a path of this machine, to a path in the shared folder. */
export interface Source {
  readonly from: string;
  readonly to: string;
}

export interface Replicated {
  readonly copied: number;
  /** Files that were there already. */
  readonly unchanged: number;
  /** The bytes of the files that were copied. */
  readonly bytes: number;
}

interface File extends Source {
  readonly stats: BigIntStats;
}

interface Found {
  readonly folders: Source[];
  readonly links: Source[];
  readonly files: File[];
}

/** Where copies are made before they get their names. Readers never see half a file. */
export const INCOMING = '.farlight/incoming';
/** How many files at a time. A distributed file system answers slowly, and many at once. */
const AT_ONCE = 16;
const CHUNK_BYTES = 1 << 20;
/** How often a file is copied anew that changes meanwhile. */
const TRIES = 3;
/** A file that changed so shortly before it was read may change again at the same time by its clock. In milliseconds. */
const RECENT_MS = 2000;

/**
 * Copies files into a shared folder. A file gets its name when all of it is there. Files whose content is there already
 * are left alone, also where a program has changed or replaced the copy since. Where both the original and the copy were
 * changed, nothing is copied: one of the changes would be lost.
 *
 * @throws FarlightError BAD_OPTION where a source cannot be read, the folder cannot be written, or both were changed
 *   (rejects).
 */
export async function replicate(
  sources: readonly Source[],
  folder: string,
  signal?: AbortSignal,
): Promise<Replicated> {
  try {
    const manifest = await Manifest.read(folder);
    const { folders, links, files } = await findAll(sources, folder);
    const toCopy = await planned(files, folder, manifest, signal);
    for (const { to } of folders) makeFolder(join(folder, to));
    makeFolder(join(folder, INCOMING));
    let bytes = 0;
    await eachOf(toCopy, signal, async (file) => {
      const copied = await copy(file, folder);
      manifest.set(file.to, copied);
      bytes += Number(copied.size);
    });
    await eachOf(links, signal, (link) => copyLink(link, folder));
    await manifest.write();
    return { copied: toCopy.length, unchanged: files.length - toCopy.length, bytes };
  } catch (error) {
    throw error instanceof FarlightError ? error : problem(error, folder);
  }
}

/** All that lies below the sources, without the shared folder itself. */
async function findAll(sources: readonly Source[], folder: string): Promise<Found> {
  const found: Found = { folders: [], links: [], files: [] };
  const visit = async (source: Source): Promise<void> => {
    const { from, to } = source;
    if (resolve(from) === resolve(folder)) return;
    const stats = await lstat(from, { bigint: true });
    if (stats.isSymbolicLink()) found.links.push(source);
    else if (stats.isFile()) found.files.push({ ...source, stats });
    else if (stats.isDirectory()) {
      found.folders.push(source);
      const names = await readdir(from);
      await eachOf(names, undefined, (name) => visit({ from: join(from, name), to: join(to, name) }));
    } else {
      throw new FarlightError('BAD_OPTION', `${from} is neither a file nor a folder; do not replicate it`);
    }
  };
  for (const source of sources) {
    const parent = dirname(source.to);
    if (parent !== '.') found.folders.push({ from: dirname(source.from), to: parent });
    await visit(source);
  }
  return found;
}

/** Decides which files to copy. @throws FarlightError BAD_OPTION where an original and its copy were both changed. */
async function planned(
  files: readonly File[],
  folder: string,
  manifest: Manifest,
  signal: AbortSignal | undefined,
): Promise<File[]> {
  const toCopy: File[] = [];
  const conflicts: string[] = [];
  await eachOf(files, signal, async (file) => {
    const { from, to, stats } = file;
    const before = manifest.get(to);
    const target = await lstat(join(folder, to)).catch(missing);
    if (!before && !target) {
      toCopy.push(file);
      return;
    }
    const isSame = before?.source === identityOf(stats);
    const hash = isSame ? before.hash : await hashOf(from);
    if (before?.hash === hash && target) {
      // The original is as it was. If the copy is not, a program has changed it, and that is what the folder is for.
      if (!isSame) manifest.set(to, { ...before, source: settledIdentity(stats) });
      return;
    }
    if (!target || (before?.size === target.size && before.modified === secondsOf(target.mtimeMs))) {
      toCopy.push(file);
      return;
    }
    const there = target.isFile() ? await hashOf(join(folder, to)) : undefined;
    const modified = secondsOf(target.mtimeMs);
    if (there === hash)
      manifest.set(to, { hash, size: target.size, modified, source: settledIdentity(stats) });
    else if (there !== undefined && there === before?.hash) toCopy.push(file);
    else conflicts.push(to);
  });
  if (conflicts.length === 0) return toCopy;
  const named = conflicts.slice(0, 3).join(', ');
  const rest = conflicts.length > 3 ? ` and ${conflicts.length - 3} more` : '';
  throw new FarlightError(
    'BAD_OPTION',
    `${named}${rest} in ${folder} differ from the originals, which were changed too or were never copied; move or delete one of the two`,
  );
}

/** Copies one file. Its hash is that of the bytes that were written. */
async function copy({ from, to, stats }: File, folder: string): Promise<Copied> {
  const temporary = join(folder, INCOMING, randomBytes(8).toString('hex'));
  const target = join(folder, to);
  let before = stats;
  try {
    for (let tries = 1; ; tries += 1) {
      const { copied, after } = await copyBytes(from, temporary, before);
      if (copied.size === Number(before.size) && identityOf(after) === identityOf(before)) {
        await rename(temporary, target);
        return { ...copied, source: settledIdentity(before) };
      }
      if (tries === TRIES)
        throw new FarlightError(
          'BAD_OPTION',
          `${from} changes while it is copied; try again when it is written`,
        );
      before = after;
    }
  } catch (error) {
    // This error is dropped: the first one says why, and `Workspace.clear` deletes what is left of a copy.
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
}

async function copyBytes(from: string, to: string, { mode, mtimeMs }: BigIntStats) {
  const source = await open(from, 'r');
  let target: FileHandle | undefined;
  try {
    target = await open(to, 'w', Number(mode) & 0o777);
    const hash = createHash('sha256');
    let size = 0;
    for await (const part of partsOf(source)) {
      hash.update(part);
      for (let at = 0; at < part.length; ) {
        const { bytesWritten } = await target.write(part, at);
        at += bytesWritten;
      }
      size += part.length;
    }
    // A program that changes the copy gives it another time, so a look at the time tells that. Whole seconds: some
    // distributed file systems keep no more.
    const modified = secondsOf(Math.min(Number(mtimeMs), wallClock() - RECENT_MS));
    await target.utimes(modified, modified);
    const after = await source.stat({ bigint: true });
    return { copied: { hash: hash.digest('hex'), size, modified }, after };
  } finally {
    await source.close();
    // Its error is one of writing: some file systems write only now.
    await target?.close();
  }
}

async function copyLink({ from, to }: Source, folder: string): Promise<void> {
  const text = await readlink(from);
  const target = join(folder, to);
  const there = await lstat(target).catch(missing);
  if (there && !there.isSymbolicLink())
    throw new FarlightError(
      'BAD_OPTION',
      `${target} is no link as ${from} is; move or delete one of the two`,
    );
  if (there && (await readlink(target)) === text) return;
  const temporary = join(folder, INCOMING, randomBytes(8).toString('hex'));
  await symlink(text, temporary);
  await rename(temporary, target);
}

async function hashOf(path: string): Promise<string> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    for await (const part of partsOf(file)) hash.update(part);
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** The content of a file, in parts. Each is valid until the next one is asked for. */
async function* partsOf(file: FileHandle): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

/** A file with this identity has the content that it had: no program can set the time of a file's last change. */
function identityOf({ size, mtimeNs, ctimeNs, ino }: BigIntStats): string {
  return `${size}.${mtimeNs}.${ctimeNs}.${ino}`;
}

/** Undefined where the file may change once more without another identity. */
function settledIdentity(stats: BigIntStats): string | undefined {
  return wallClock() - Number(stats.ctimeMs) > RECENT_MS ? identityOf(stats) : undefined;
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Does something for each, a few at a time. After the first error nothing more is begun. */
async function eachOf<T>(
  all: readonly T[],
  signal: AbortSignal | undefined,
  act: (one: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let isFailed = false;
  const work = async () => {
    while (next < all.length && !isFailed) {
      signal?.throwIfAborted();
      const one = all[next] as T;
      next += 1;
      await act(one).catch((error) => {
        isFailed = true;
        throw error;
      });
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(AT_ONCE, all.length) }, work));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function problem(error: unknown, folder: string): unknown {
  const { code, path = folder } = error as NodeJS.ErrnoException;
  if (code === undefined) return error;
  const why =
    code === 'ENOSPC' || code === 'EDQUOT'
      ? `${folder} is full (${code}); delete files there, or replicate less`
      : `${path} cannot be replicated to ${folder} (${code}); see that it can be read, and that you may write there`;
  return new FarlightError('BAD_OPTION', why, { cause: error });
}
