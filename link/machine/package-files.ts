import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL, URL } from 'node:url';
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

/** Calls `require` as a module of the package does. */
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

/** Folders where the package may be: that of this module, and the ones from which the program can import. */
function* candidates(): Generator<string> {
  // A bundler removes the URL, or writes the place where this module was into the bundle.
  const url: string | undefined = import.meta.url;
  const here = url?.startsWith('file:') ? fileURLToPath(url) : undefined;
  if (here) yield dirname(dirname(dirname(dirname(here))));
  for (const file of [here, process.argv[1], join(process.cwd(), 'program')]) {
    let at = file;
    // `require.resolve` is no help, because bundlers replace it.
    while (at && at !== dirname(at)) {
      at = dirname(at);
      yield join(at, 'node_modules/farlight');
    }
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
