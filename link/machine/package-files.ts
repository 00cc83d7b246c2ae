import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL, URL } from 'node:url';
import { FarlightError, tooManyFiles } from '../../proto/errors.js';
import { packageVersion } from './package-version.js';

let folder: URL | undefined;

/**
 * A file of the compiled package, by its path in dist/. Farlight's processes and threads are files of their own: where a
 * bundler has put this module into a program's, they are those of the package that is installed beside the program.
 *
 * @throws FarlightError NOT_INSTALLED where none is, UNREACHABLE where no file can be opened to see.
 */
export function packageFile(path: string): URL {
  folder ??= findFolder();
  return new URL(path, folder);
}

/** `require` as a module of the package has it. */
export function packageRequire(name: string): unknown {
  return createRequire(packageFile('link/machine/package-files.js'))(name);
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

/** Folders where the package may be: this module's own, and those that the program can import from. */
function* candidates(): Generator<string> {
  // A bundler has left none, or has put in where this module lay once.
  const url: string | undefined = import.meta.url;
  const here = url?.startsWith('file:') ? fileURLToPath(url) : undefined;
  if (here) yield dirname(dirname(dirname(dirname(here))));
  for (const file of [here, process.argv[1], join(process.cwd(), 'program')]) {
    let at = file;
    // Not by `require.resolve`, which bundlers answer themselves.
    while (at && at !== dirname(at)) {
      at = dirname(at);
      yield join(at, 'node_modules/farlight');
    }
  }
}

/** The version of farlight where this is its folder. */
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
