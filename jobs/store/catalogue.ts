import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Problem, problemText } from '../../link/files/checked-file.js';
import { makeFolder } from '../../link/files/make-folder.js';
import { writeWhole } from '../../link/files/whole-file.js';
import { configFolder } from '../../link/machine/folders.js';
import { codeOf, FarlightError, messageOf } from '../../proto/errors.js';

/** Where a site keeps files for all its users. */
const SITE_FOLDER = '/etc/farlight';

/** A file of a catalogue. */
export interface Entry {
  readonly path: string;
  readonly text: string;
  readonly isBuiltIn: boolean;
}

/** The folders of a catalogue: what comes with Farlight, the site's, and this user's. */
export function catalogueFolders(name: string, builtIn: string): { folder: string; isBuiltIn: boolean }[] {
  return [
    { folder: builtIn, isBuiltIn: true },
    { folder: join(SITE_FOLDER, name), isBuiltIn: false },
    { folder: ownFolder(name), isBuiltIn: false },
  ];
}

/** The YAML files in the folders of a catalogue. @throws FarlightError BAD_OPTION where one cannot be read. */
export function catalogueEntries(folders: ReturnType<typeof catalogueFolders>): Entry[] {
  return folders.flatMap(({ folder, isBuiltIn }) => {
    const names = readable(folder, () => readdirSync(folder)) ?? [];
    const files = names.filter((name) => name.endsWith('.yaml')).sort();
    return files.flatMap((name) => {
      const path = join(folder, name);
      const text = readable(path, () => readFileSync(path, 'utf8'));
      return text === undefined ? [] : [{ path, text, isBuiltIn }];
    });
  });
}

/**
 * Adds a file to this user's folder of a catalogue, whole or not at all, even when the power fails.
 *
 * @returns false where there is one of that name.
 * @throws FarlightError BAD_OPTION where it cannot be written.
 */
export function addEntry(catalogue: string, name: string, text: string): boolean {
  const folder = ownFolder(catalogue);
  try {
    makeFolder(folder);
    return writeWhole(folder, name, text, 0o444);
  } catch (error) {
    const why = `${join(folder, name)} cannot be written: ${messageOf(error)}`;
    throw new FarlightError('BAD_OPTION', why, { cause: error });
  }
}

/** The text of a file that a person names. @throws FarlightError BAD_OPTION */
export function readNamed(path: string): string {
  const text = readable(path, () => readFileSync(path, 'utf8'));
  if (text === undefined) throw new FarlightError('BAD_OPTION', `there is no file ${path}`);
  return text;
}

/** One error for all problems of a file. */
export function asError(problems: readonly Problem[]): FarlightError {
  return new FarlightError('BAD_OPTION', problems.map(problemText).join('; '));
}

function ownFolder(name: string): string {
  return join(configFolder(), name);
}

/** Undefined where it is not there. */
function readable<T>(path: string, read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw new FarlightError('BAD_OPTION', `${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
