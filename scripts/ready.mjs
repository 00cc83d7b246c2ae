// Makes a fresh clone ready to run: installs the dependencies when they are missing or older than the
// lock file, then builds what is older than its sources. `npm test`, `npm start`, `npm run bench` and
// `npm run properties` begin with it.
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = `${root}package-lock.json`;
const installed = `${root}node_modules/.package-lock.json`;
/** The file that scripts/build.mjs writes last. */
const built = `${root}dist/server/swiftshader/LICENSE-APACHE-2.0`;
/** The folders that the build reads. */
const SOURCES = [...JSON.parse(readFileSync(`${root}tsconfig.json`, 'utf8')).include, 'scripts'];

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  // npm would empty the folder that a link leads to, which is another checkout's.
  if (lstatSync(`${root}node_modules`, { throwIfNoEntry: false })?.isSymbolicLink()) {
    process.stderr.write(
      'node_modules is a link, and older than package-lock.json: run npm ci where it leads to\n',
    );
    process.exit(1);
  }
  step('Installing dependencies', 'npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error']);
}
const configurations = readdirSync(root).filter((name) => /^(package|tsconfig).*\.json$/.test(name));
const newest = Math.max(...[...SOURCES, ...configurations].map((name) => changed(join(root, name))));
if (!existsSync(built) || statSync(built).mtimeMs < newest)
  step('Building', process.execPath, [`${root}scripts/build.mjs`]);

/** When a file, or any in a folder, was changed last, in milliseconds; a folder changes when a file of it goes. */
function changed(path) {
  const stat = statSync(path);
  const inside = stat.isDirectory() ? readdirSync(path).map((name) => changed(join(path, name))) : [];
  return Math.max(stat.mtimeMs, ...inside);
}

function step(title, command, args) {
  process.stderr.write(`${title} ...\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error || status !== 0) {
    process.stderr.write(`${title} failed${error ? `: ${error.message}` : ''}\n`);
    process.exit(1);
  }
}
