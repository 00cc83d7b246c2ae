import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

/** What is on the way to a unix socket that another user may have put there. */
export interface StrangeFile {
  readonly path: string;
  /** Whose it is; undefined for a folder in which several users may put things. */
  readonly uid: number | undefined;
}

/** As many as Linux follows. */
const MOST_LINKS = 40;
const STICKY = 0o1000;

/**
 * What of a path is in the hands of a user who is not trusted: the socket itself, a link or a folder on the way to it,
 * or a folder in which others may put something else in its place. Undefined where nothing is, or where the path leads
 * nowhere. What was found to be in order nobody else can change afterwards.
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

/** Whether others than its owner may replace what is in a folder. A group that is this user's own counts as the user. */
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
