#!/usr/bin/env node
// The task `node` of the suite: CommonJS modules of src/ in out-node/, with a listing of each suite's files. The
// compiler is that of the repository which FARLIGHT_REPOSITORY names, so that nothing has to be installed.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const [task, ...more] = process.argv.slice(2);
if (task !== 'node' || more.length > 0) {
  console.error(`Warning: Task "${task ?? 'default'}" not found. Use --force to continue.`);
  process.exit(3);
}
const { transformSync } = createRequire(join(process.env.FARLIGHT_REPOSITORY, 'package.json'))('esbuild');

rmSync('out-node', { recursive: true, force: true });
const sources = readdirSync('src', { recursive: true }).filter((file) => file.endsWith('.ts'));
for (const file of sources) {
  const target = join('out-node', file.replace(/\.ts$/, '.js'));
  mkdirSync(dirname(target), { recursive: true });
  const { code } = transformSync(readFileSync(join('src', file), 'utf8'), { loader: 'ts', format: 'cjs' });
  writeFileSync(target, code);
}
cpSync('src/resources', 'out-node/resources', { recursive: true });
const listing = sources
  .filter((file) => file.startsWith('webgpu/') && file.endsWith('.cases.ts'))
  .map((file) => ({ file: file.slice('webgpu/'.length, -'.cases.ts'.length).split('/') }));
writeFileSync('out-node/webgpu/listing.js', `exports.listing = ${JSON.stringify(listing)};\n`);
