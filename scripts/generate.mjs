// Rewrites proto/gen/ and docs/operations-table.md from the WebGPU IDL, proto/wire.idl and proto/surface.ts. Two
// arguments name other folders to write to.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const tsc = join(dirname(require.resolve('typescript/package.json')), 'bin', 'tsc');
const out = resolve(process.argv[2] ?? join(root, 'proto/gen'));
const docs = resolve(process.argv[3] ?? join(root, 'docs'));

// The generator is compiled inside node_modules, where its own imports resolve and nobody looks.
const build = mkdtempSync(join(root, 'node_modules', '.farlight-generate-'));
try {
  writeFileSync(join(build, 'package.json'), '{"type":"module"}');
  run(tsc, '-p', join(root, 'proto/generate/tsconfig.json'), '--outDir', build);
  run(join(build, 'generate/main.js'), root, out, docs);
  const biome = join(dirname(require.resolve('@biomejs/biome/package.json')), 'bin', 'biome');
  run(
    biome,
    'format',
    '--write',
    '--vcs-enabled=false',
    '--config-path',
    join(root, 'proto/generate/format.json'),
    out,
  );
} finally {
  rmSync(build, { recursive: true, force: true });
}

function run(script, ...args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
