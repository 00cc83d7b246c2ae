// Compiles the TypeScript sources to dist/, from scratch, so that a deleted source leaves nothing behind, and puts the
// embedded software GPU there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';
import {
  bundleCharts,
  bundleDefinitions,
  bundleForBrowsers,
  bundleGrpc,
  bundleModules,
  bundlePackages,
  bundleSchemas,
} from './bundle.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');

rmSync(join(root, 'dist'), { recursive: true, force: true });
// The modules of pages are checked with a page's globals. Those that Node shares are written anew without these.
for (const project of ['tsconfig.browser.json', 'tsconfig.json']) {
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
bundleDefinitions(root);
await bundlePackages(root);
await bundleSchemas(root);
for (const shipped of ['jobs/templates/shipped', 'jobs/images/shipped'])
  cpSync(join(root, shipped), join(root, 'dist', shipped), { recursive: true });
// The files of pages beside the compiled modules, with the library that draws the charts.
for (const site of [
  'page/site',
  'server/page/site',
  'infer/page/site',
  'pool/portal/site',
  'stream/page/site',
]) {
  cpSync(join(root, site), join(root, 'dist', site), {
    recursive: true,
    filter: (path) => !path.endsWith('.ts'),
  });
}
await bundleCharts(root, dirname(require.resolve('uplot/package.json')));
await bundleForBrowsers(root);
await bundleGrpc(root);
await bundleModules(root);
for (const main of ['dist/cli/main.js', 'dist/bundle/cli/main.js']) chmodSync(join(root, main), 0o755);

// Three files of 2 MB are all that is wanted of a package of 67 MB, so they are taken along instead of depended on.
// Its exports are its main module alone; the rest lies beside that module's folder.
const chromium = dirname(dirname(require.resolve('@sparticuz/chromium')));
const { version } = JSON.parse(readFileSync(join(chromium, 'package.json'), 'utf8'));
const target = join(root, 'dist/server/swiftshader');
cpSync(join(chromium, 'bin/swiftshader.tar.br'), join(target, `swiftshader-${version}.tar.br`));
// Executors load the files of this archive only where their hashes are the same as here.
const { FILES } = await import('../dist/server/gpu/software-gpu.js');
const { readTar } = await import('../dist/server/gpu/tar.js');
const archive = brotliDecompressSync(readFileSync(join(chromium, 'bin/swiftshader.tar.br')));
const hashes = [...readTar(archive)]
  .filter(({ name }) => FILES.includes(name))
  .map(({ name, bytes }) => [name, createHash('sha256').update(bytes).digest('hex')]);
writeFileSync(join(target, 'sha256.json'), `${JSON.stringify(Object.fromEntries(hashes), null, 2)}\n`);
cpSync(join(root, 'server/gpu/swiftshader-notice.md'), join(target, 'NOTICE.md'));
cpSync(join(chromium, 'LICENSE'), join(target, 'LICENSE-MIT'));
// The text of the Apache License 2.0, which is also gRPC's. It is written last: scripts/ready.mjs looks how old it is.
cpSync(
  join(dirname(require.resolve('@grpc/grpc-js/package.json')), 'LICENSE'),
  join(target, 'LICENSE-APACHE-2.0'),
);
