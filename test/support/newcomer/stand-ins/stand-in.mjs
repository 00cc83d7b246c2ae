// What the stand-ins have in common: programs that answer in place of tools which not every machine has, so far as
// the documentation uses them.
import { accessSync, constants, realpathSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Ends as the tool does that this program stands for. */
export function fail(code, why) {
  process.stderr.write(`${why}\n`);
  process.exit(code);
}

/** The path of the tool itself, or undefined where this machine has none. */
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
