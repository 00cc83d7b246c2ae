import { type ChildProcess, fork } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { makeFolder } from '#farlight/link/files/make-folder.js';
import { REPOSITORY } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());

const ROUNDS = 300;

describe('a folder with all above it', () => {
  it('is made once, by the modes that are asked for', () => {
    const base = temporary.make();
    expect(makeFolder(join(base, 'a/b/c'), 0o700)).toBe(join(base, 'a'));
    expect(statSync(join(base, 'a')).mode & 0o777).toBe(0o700);
    expect(makeFolder(join(base, 'a/b/c'))).toBeUndefined();
    expect(makeFolder(join(base, 'a/b/d'))).toBe(join(base, 'a/b/d'));
  });

  it.skipIf(process.platform !== 'linux')('is refused where the system makes none', () => {
    expect(() => makeFolder('/proc/farlight/x')).toThrow(/^ENOENT/);
    expect(() => makeFolder('/dev/null/x')).toThrow(/^ENOTDIR/);
  });

  it('is made by three processes at once', async () => {
    const base = temporary.make();
    const script = join(base, 'make.mjs');
    writeFileSync(
      script,
      `import { makeFolder } from ${JSON.stringify(join(REPOSITORY, 'dist/link/files/make-folder.js'))};
process.on('message', (folder) => {
  try {
    makeFolder(folder);
    process.send('');
  } catch (error) {
    process.send(error.message);
  }
});`,
    );
    const children = [1, 2, 3].map(() => fork(script, { execArgv: [] }));
    try {
      const problems: unknown[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const folder = join(base, `${round}/a/b/c/d`);
        problems.push(...(await Promise.all(children.map((child) => answer(child, folder)))));
      }
      expect(problems.filter((problem) => problem !== '')).toEqual([]);
    } finally {
      for (const child of children) child.kill();
    }
  });
});

function answer(child: ChildProcess, folder: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.send(folder, (error) => {
      if (error) reject(error);
    });
  });
}
