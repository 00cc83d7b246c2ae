import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { monotonicNow, wallClock } from '../../link/machine/clock.js';
import { pause } from '../../link/machine/timer.js';
import { codeOf } from '../../proto/errors.js';
import { MOST_RECORD_BYTES, UnfitRecordError } from '../log/record-log.js';
import { type Attempts, WHOLE } from './attempts.js';
import { type Feed, roomIn } from './source.js';

/** How often to look for new files, in milliseconds. Network file systems tell nobody of them. */
const LOOK_MS = 200;
/** A file that changed later than this many milliseconds ago may still be written to. */
const SETTLED_MS = 200;
/** The key of files in the folder itself. */
const HERE = '.';

/**
 * Each file is a record. The folder that it is in is its key, as of one camera, and the files of a folder are taken in the
 * order of their names: a file whose name comes before one that was taken is left out. So are hidden files.
 */
export async function watchFolder(
  folder: string,
  feed: Feed,
  attempts: Attempts,
  signal: AbortSignal,
): Promise<void> {
  const latest = new Map(feed.positions);
  const settling = new Map<string, Settling>();
  const take = async (key: string, name: string): Promise<boolean> => {
    const path = key === HERE ? name : `${key}/${name}`;
    try {
      const data = await whole(join(folder, path), path, settling);
      if (!data) return false;
      await feed.ingest({
        key,
        position: name,
        values: {
          data: { name: 'data', datatype: 'UINT8', shape: [data.length], data },
          path: { name: 'path', datatype: 'BYTES', shape: [1], data: [Buffer.from(path)] },
        },
      });
    } catch (error) {
      if (!(error instanceof UnfitRecordError)) throw error;
      attempts.putAside(path, error.message);
    }
    settling.delete(path);
    latest.set(key, name);
    return true;
  };
  const takeAll = async (key: string) => {
    for (const name of await filesIn(join(folder, key))) {
      if (name <= String(latest.get(key) ?? '')) continue;
      await roomIn(feed, signal);
      // The files after one that is not whole yet wait too, so that they keep their order.
      if (signal.aborted || !(await take(key, name))) return;
    }
  };
  const look = async () => {
    const keys = await foldersIn(folder);
    attempts.keep([WHOLE, ...keys]);
    for (const key of keys) await attempts.once(key, () => takeAll(key), signal);
  };
  while (!signal.aborted) {
    await attempts.once(WHOLE, look, signal);
    await pause(LOOK_MS, signal);
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'));
  return [HERE, ...folders.map(({ name }) => name).sort()];
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  return entries
    .flatMap((entry) => (entry.isFile() && !entry.name.startsWith('.') ? [entry.name] : []))
    .sort();
}

/** A file whose time says that it was changed just now, or in the future, as where another machine's clock is ahead. */
interface Settling {
  /** Its time and its length, as they were since a moment. */
  readonly change: string;
  readonly since: number;
}

/**
 * The bytes of a file that nobody writes to any more; undefined for another one, or one that is gone.
 *
 * @throws UnfitRecordError where it is too long (rejects)
 */
async function whole(
  file: string,
  path: string,
  settling: Map<string, Settling>,
): Promise<Uint8Array | undefined> {
  try {
    const { mtimeMs, size } = await stat(file);
    if (size > MOST_RECORD_BYTES) throw new UnfitRecordError(`the file has ${size} bytes, more than 64 MiB`);
    if (wallClock() - mtimeMs >= SETTLED_MS) return new Uint8Array(await readFile(file));
    const change = `${mtimeMs} ${size}`;
    const before = settling.get(path);
    if (before?.change === change && monotonicNow() - before.since >= SETTLED_MS)
      return new Uint8Array(await readFile(file));
    if (before?.change !== change) settling.set(path, { change, since: monotonicNow() });
    return undefined;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
