// Packs what is built as npm would publish it, and checks the package: nothing in it that its users have no use for,
// and entry points and types that resolve (publint, @arethetypeswrong/cli). An argument names a folder where the
// package is left. `npm run package-check`; it wants dist/ built, and does not build it.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const [keep] = process.argv.slice(2);
const folder = keep ? resolve(keep) : mkdtempSync(join(tmpdir(), 'farlight-pack-'));
/** The files that belong to the repository alone. */
const UNWANTED =
  /^(test|bench|examples|scripts|client|server|cli|link|page|shard|testing|infer|pool|jobs|stream)\/|\.(test|spec)\.|\.map$/;
const WANTED = [
  'README.md',
  'LICENSE',
  'dist/bundle/cli/main.js',
  'dist/client/index.d.ts',
  'dist/bundle/client/canvas/index.js',
  'proto/farlight.proto',
];
/** In bytes; it was 3.7 MB, of which the software GPU is 1.6, and gRPC 0.2. */
const MAX_BYTES = 3_900_000;

try {
  const [pack] = JSON.parse(run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder]));
  const files = pack.files.map(({ path }) => path);
  const unwanted = files.filter((file) => UNWANTED.test(file));
  if (unwanted.length > 0) fail(`It has files that do not belong into it: ${unwanted.join(', ')}`);
  const missing = WANTED.filter((file) => !files.includes(file));
  if (missing.length > 0) fail(`It lacks ${missing.join(', ')}; run npm run build first`);
  if (pack.size > MAX_BYTES) fail(`It takes ${pack.size} bytes, more than ${MAX_BYTES}`);

  const tarball = join(folder, pack.filename);
  process.stdout.write(run('npx', ['--no-install', 'publint', 'run', tarball, '--strict']));
  // There is no CommonJS in it: Node 20.19 and newer require ES modules.
  run('npx', ['--no-install', 'attw', tarball, '--profile', 'esm-only', '--no-color']);
  const megabytes = (bytes) => `${(bytes / 1e6).toFixed(2)} MB`;
  console.log(
    `${pack.filename}: ${files.length} files, ${megabytes(pack.size)}, unpacked ${megabytes(pack.unpackedSize)}`,
  );
} finally {
  if (!keep) rmSync(folder, { recursive: true });
}

function run(command, args) {
  try {
    return execFileSync(command, args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    return fail(`${command} ${args.join(' ')} failed:\n${error.stdout}${error.stderr}`);
  }
}

function fail(message) {
  throw new Error(message);
}
