import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL, URL } from 'node:url';
import type { ValidateFunction } from 'ajv';
import { FarlightError, tooManyFiles } from '../../proto/errors.js';
import { packageVersion } from './package-version.js';

let folder: URL | undefined;

/**
 * A file of the compiled package, by its path in dist/. Farlight's processes and threads start from files. If a bundler
 * has put this module into a program, the files come from the package that is installed beside the program.
 *
 * @throws FarlightError NOT_INSTALLED if no package is installed, UNREACHABLE if this process may open no more files.
 */
export function packageFile(path: string): URL {
  folder ??= findFolder();
  return new URL(path, folder);
}

/**
 * The file from which a process or a thread of Farlight's own starts. It is a bundle of the module of that name, with all
 * that this imports (`scripts/bundle.mjs`): Node finds, reads and links 200 files in 0.1 s.
 */
export function packageProgram(path: string): URL {
  return packageFile(`bundle/${path}`);
}

/** Loads a CommonJS module of the compiled package, by its path in dist/. */
export function packageRequire(path: string): unknown {
  return createRequire(packageFile('package'))(`./${path}`);
}

/**
 * Checks a value by a schema of the package, PATH.schema.json. The build has compiled it (`scripts/bundle.mjs`): that
 * takes ten times as long as to read a file and check it.
 */
export function packageSchema<T>(path: string): ValidateFunction<T> {
  return packageRequire(`${path}.check.cjs`) as ValidateFunction<T>;
}

/** The folder dist/ of the installed package. */
function findFolder(): URL {
  let other: string | undefined;
  for (const root of candidates()) {
    const version = versionAt(root);
    if (version === packageVersion()) return pathToFileURL(join(root, 'dist/'));
    other ??= version;
  }
  throw new FarlightError(
    'NOT_INSTALLED',
    `Farlight is bundled into the program, and ${other ? `farlight ${other}` : 'no farlight package'} is installed ` +
      `beside it; mark farlight as external in the bundler, and install farlight ${packageVersion()} there`,
  );
}

/** Folders where the package may be: the folder of this module, and the folders that the program can import from. */
function* candidates(): Generator<string> {
  // A bundler removes the URL, or writes the place where this module was into the bundle.
  const url: string | undefined = import.meta.url;
  const here = url?.startsWith('file:') ? fileURLToPath(url) : undefined;
  // This module is within several bundles of the package, which lie at several depths.
  for (const folder of here ? foldersAbove(here) : []) yield folder;
  // `require.resolve` is no help, because bundlers replace it.
  for (const file of [here, process.argv[1], join(process.cwd(), 'program')])
    for (const folder of file ? foldersAbove(file) : []) yield join(folder, 'node_modules/farlight');
}

function* foldersAbove(file: string): Generator<string> {
  for (let at = file; at !== dirname(at); ) {
    at = dirname(at);
    yield at;
  }
}

/** The version of farlight in this folder, if farlight is there. */
function versionAt(root: string): string | undefined {
  try {
    const { name, version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    return name === 'farlight' ? version : undefined;
  } catch (error) {
    const problem = tooManyFiles(error);
    // The file may be there all the same.
    if (problem) throw problem;
    return undefined;
  }
}
