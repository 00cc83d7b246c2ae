import { statSync } from 'node:fs';
import { RunError } from './lane.js';

/**
 * Says which file this is: a file that is written again is another one. `known`: what it was when it was loaded first.
 * @throws Error where there is none; RunError `away` where it has changed
 */
export function fileVersion(file: string, known?: string): string {
  const { ino, size, mtimeMs } = statSync(file);
  const version = `${ino} ${size} ${mtimeMs}`;
  if (known !== undefined && version !== known) throw changed(file);
  return version;
}

/** Requests are answered by what was loaded, or not at all: nobody has looked at the new file yet. */
export function changed(file: string): RunError {
  return new RunError(`${file} has changed since it was loaded: load it again, or put the file back.`, {
    away: true,
  });
}
