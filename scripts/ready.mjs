// Makes a fresh clone ready to run: installs the dependencies when they are missing or older than the
// lock file, then builds. `npm test`, `npm start`, `npm run bench` and `npm run properties` begin with it.
import { spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const lock = `${root}package-lock.json`;
const installed = `${root}node_modules/.package-lock.json`;

if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  step('Installing dependencies', 'npm', ['ci', '--no-fund', '--no-audit', '--loglevel=error']);
}
step('Building', process.execPath, [`${root}scripts/build.mjs`]);

function step(title, command, args) {
  process.stderr.write(`${title} ...\n`);
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error || status !== 0) {
    process.stderr.write(`${title} failed${error ? `: ${error.message}` : ''}\n`);
    process.exit(1);
  }
}
