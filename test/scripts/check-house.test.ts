import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../scripts/check-house.mjs', import.meta.url));
const GLOSSARY =
  '| word | meaning | not used for it |\n| content | bytes known by their hash | `blob`, payload |\n';

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

/** A repository with these files. */
function repository(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'farlight-house-'));
  folders.push(folder);
  const all = { 'docs/architecture.md': GLOSSARY, ...files };
  for (const [path, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  execFileSync('git', ['init', '-q'], { cwd: folder });
  return folder;
}

/** What the check says of the repository, a line for each problem. */
function check(folder: string): string[] {
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, folder], { encoding: 'utf8' });
  const lines = stderr.split('\n').filter(Boolean);
  expect(status).toBe(lines.length > 0 ? 1 : 0);
  return lines;
}

const many = (count: number) =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [`link/file-${index}.ts`, '']));

describe('the check of folders, imports and names', () => {
  it('finds a circle of imports that is closed by a type alone', () => {
    const folder = repository({
      'client/a.ts': `import { b } from './inner/b.js';`,
      'client/inner/b.ts': `export type { C } from '../c.js';`,
      'client/c.ts': `import type { A } from './a.js';`,
      'client/outside.ts': `import './a.js';`,
    });
    expect(check(folder)).toEqual([
      expect.stringContaining('client/a.ts is in a circle of imports: it imports client/inner/b.ts'),
      expect.stringContaining('client/inner/b.ts is in a circle'),
      expect.stringContaining('client/c.ts is in a circle'),
    ]);
  });

  it('finds a folder of more than 15 files', () => {
    expect(check(repository(many(15)))).toEqual([]);
    expect(check(repository(many(16)))).toEqual([expect.stringContaining('link/ holds 16 files')]);
  });

  it('lets tests lie in folders of any width', () => {
    const files = Array.from({ length: 20 }, (_, index) => [`test/wire/file-${index}.test.ts`, '']);
    expect(check(repository(Object.fromEntries(files)))).toEqual([]);
  });

  it('finds imports between the daemon and its page, either way', () => {
    const folder = repository({
      'server/daemon/a.ts': `import type { View } from '../page/view.js';`,
      'server/page/view.ts': '',
      'server/page/b.ts': `import '../daemon/log.js';`,
      'server/daemon/log.ts': '',
    });
    expect(check(folder)).toEqual([
      expect.stringContaining('server/daemon/a.ts imports server/page/view.ts'),
      expect.stringContaining('server/page/b.ts imports server/daemon/log.ts'),
    ]);
  });

  it('finds a module of link/ that names a file of server/ as text', () => {
    const folder = repository({
      'link/a.ts': `start(packageFile('server/main.js')); // server/`,
      'link/b.ts': '// see server/main.ts',
    });
    expect(check(folder)).toEqual([expect.stringContaining(`link/a.ts names 'server/main.js'`)]);
  });

  it('finds banned words in identifiers and file names, and not in comments or parts of words', () => {
    const folder = repository({
      'cli/a.ts': 'const MAX_BLOBS = 1;',
      'cli/b.ts': 'function readBlob() {}',
      'cli/blob-store.ts': '',
      'cli/c.ts': `const blobfish = 'blob'; // a blob`,
      'cli/d.ts': 'const payload = 1;',
    });
    expect(check(folder)).toEqual([
      expect.stringContaining('MAX_BLOBS in cli/a.ts has the word "blobs"'),
      expect.stringContaining('readBlob in cli/b.ts has the word "blob"'),
      expect.stringContaining('blob-store.ts in cli/blob-store.ts has the word "blob"'),
    ]);
  });
});
