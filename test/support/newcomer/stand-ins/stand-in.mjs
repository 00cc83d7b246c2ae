// Shared by the stand-ins: programs that replace tools which not every machine has. They can do what the documentation
// uses of the tools.
import { accessSync, constants, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Ends as the real tool would. */
export function fail(code, why) {
  process.stderr.write(`${why}\n`);
  process.exit(code);
}

/** The path of the real tool; undefined if this machine has none. */
export function realTool(name) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => isExecutable(path) && !isStandIn(path));
}

const isStandIn = (path) => realpathSync(path).startsWith(fileURLToPath(new URL('.', import.meta.url)));

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
