import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** A file or folder on the path of a unix socket that an untrusted user may control. */
export interface StrangeFile {
  readonly path: string;
  /** Its owner. Undefined for a folder in which several users can make files. */
  readonly uid: number | undefined;
}

/** Linux follows as many. */
const MOST_LINKS = 40;
const STICKY = 0o1000;

/**
 * Finds a part of a path that an untrusted user controls: the socket, a link or folder on the way to it, or a folder where
 * others can replace files. Undefined if there is none, or if the path leads nowhere. Then nobody else can change the
 * path.
 */
export function strangeFile(path: string, isTrusted: (uid: number) => boolean): StrangeFile | undefined {
  const todo = parts(path);
  let at = '/';
  for (let links = 0; ; ) {
    const stats = lstatSync(at, { throwIfNoEntry: false });
    if (!stats) return undefined;
    if (!isTrusted(stats.uid)) return { path: at, uid: stats.uid };
    if (stats.isDirectory() && isOpen(stats)) return { path: at, uid: undefined };
    if (stats.isSymbolicLink()) {
      links += 1;
      if (links > MOST_LINKS) return undefined;
      todo.unshift(...parts(resolve(dirname(at), readlinkSync(at))));
      at = '/';
      continue;
    }
    const next = todo.shift();
    if (next === undefined) return undefined;
    at = join(at, next);
  }
}

/** Whether users other than its owner can replace files in a folder. This user's own group counts as the user. */
function isOpen({ mode, gid }: Stats): boolean {
  if (mode & STICKY) return false;
  const isOwn = gid === 0 || gid === process.getegid?.();
  return (mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !isOwn);
}

function parts(path: string): string[] {
  return resolve(path)
    .split('/')
    .filter((part) => part !== '');
}
