import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { runProgram } from '../support/newcomer/newcomer-tools.js';
import { REPOSITORY } from '../support/repository.js';

/** A checkout whose npm and build only leave the files that scripts/ready.mjs looks at. */
let checkout: string;
const at = (path: string) => join(checkout, path);

beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'farlight-ready-'));
  for (const folder of ['client', 'infer', 'scripts', 'bin']) mkdirSync(at(folder));
  for (const file of ['package.json', 'package-lock.json', 'client/a.ts']) writeFileSync(at(file), '{}');
  writeFileSync(at('tsconfig.json'), JSON.stringify({ include: ['client', 'infer'] }));
  copyFileSync(join(REPOSITORY, 'scripts/ready.mjs'), at('scripts/ready.mjs'));
  writeFileSync(
    at('bin/npm'),
    '#!/bin/sh\n[ "$1" = ci ] || exit 1\nrm -rf node_modules/*\nmkdir -p node_modules\ntouch node_modules/.package-lock.json\n',
  );
  chmodSync(at('bin/npm'), 0o755);
  writeFileSync(
    at('scripts/build.mjs'),
    `import { mkdirSync, writeFileSync } from 'node:fs';
    mkdirSync('dist/server/swiftshader', { recursive: true });
    writeFileSync('dist/server/swiftshader/LICENSE-APACHE-2.0', '');`,
  );
});
afterEach(() => rmSync(checkout, { recursive: true, force: true }));

async function ready(): Promise<{ code: number | null; did: string[]; stderr: string }> {
  const env = { PATH: [at('bin'), process.env.PATH].join(delimiter) };
  const { code, stderr } = await runProgram(process.execPath, [at('scripts/ready.mjs')], {
    env,
    cwd: checkout,
  });
  return { code, did: stderr.match(/^\w+(?=.* \.\.\.$)/gm) ?? [], stderr };
}

/** Makes all existing files as old as possible, and built files a little younger. */
function age(): void {
  for (const path of readdirSync(checkout, { recursive: true, encoding: 'utf8' }))
    if (!path.startsWith('node_modules')) utimesSync(at(path), 0, path.startsWith('dist') ? 1000 : 0);
}

it('installs and builds in a fresh clone, and does neither again if nothing changed', async () => {
  expect(await ready()).toMatchObject({ code: 0, did: ['Installing', 'Building'] });
  expect(await ready()).toMatchObject({ code: 0, did: [] });
});

it.each<[string, () => void]>([
  ['a source changed', () => writeFileSync(at('client/a.ts'), '{ }')],
  ['any room of tsconfig.json has a new source', () => writeFileSync(at('infer/a.ts'), '')],
  ['a configuration changed', () => writeFileSync(at('package.json'), '{ }')],
  ['a source was deleted', () => rmSync(at('client/a.ts'))],
  ['a built file was deleted', () => rmSync(at('dist'), { recursive: true })],
])('builds again if %s', async (_, change) => {
  await ready();
  age();
  expect((await ready()).did).toEqual([]);
  change();
  expect((await ready()).did).toEqual(['Building']);
});

it('never installs through a link, since npm would empty the target of the link', async () => {
  mkdirSync(at('elsewhere'));
  writeFileSync(at('elsewhere/kept'), '');
  symlinkSync('elsewhere', at('node_modules'));
  const { code, stderr } = await ready();
  expect(code).toBe(1);
  expect(stderr).toContain('node_modules is a link');
  expect(readdirSync(at('elsewhere'))).toEqual(['kept']);
});
