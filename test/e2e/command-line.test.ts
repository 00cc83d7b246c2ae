// What every command does with mistakes of the person who types it, with signals and with servers that do not answer.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { type Finished, runFarlight, startFarlight } from '../support/hosts/farlight-command.js';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  await Promise.all(cleanups.splice(0).map((cleanup) => cleanup()));
});

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'farlight-test-'));
  cleanups.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function expectOneSentence({ code, stderr }: Finished, expected: number, words: RegExp): void {
  expect(stderr).toMatch(words);
  expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
  expect(stderr).not.toMatch(/this is a bug/);
  expect(code).toBe(expected);
}

describe('a program that the system does not start', () => {
  const file = () => {
    const path = join(folder(), 'file');
    writeFileSync(path, '');
    return path;
  };

  it.each([
    ['whose path goes through a file', () => join(file(), 'app'), /cannot be run \(ENOTDIR\)/],
    ['whose path is too long', () => 'a'.repeat(5000), /a{100,}… cannot be run \(ENAMETOOLONG\)/],
    ['which may not be executed', file, /cannot be run \(EACCES\)/],
  ])('%s: one sentence, and nothing is left behind', async (_, program, words) => {
    const TMPDIR = folder();
    const done = await runFarlight(['run', '--adapter', 'null', '--', program()], { TMPDIR });
    expectOneSentence(done, 126, words);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });

  it('has no host that goes on, where the run has started one for it', async () => {
    const TMPDIR = folder();
    const args = ['run', '--adapter', 'null', '--emulate', 'rtt=1', '--', join(file(), 'app')];
    const { child, done } = startFarlight(args, { TMPDIR });
    cleanups.push(() => child.kill('SIGKILL'));
    expectOneSentence(await done, 126, /cannot be run/);
    expect(readdirSync(TMPDIR)).toEqual([]);
  });
});

it('a signal while the host of a run starts ends that host, and no program is started', async () => {
  const TMPDIR = folder();
  // The host makes a folder for its bridges while it starts.
  const preload = join(folder(), 'preload.mjs');
  writeFileSync(
    preload,
    `import fs from 'node:fs';
     import { syncBuiltinESMExports } from 'node:module';
     const { mkdtempSync } = fs;
     fs.mkdtempSync = (prefix, ...more) => {
       const made = mkdtempSync(prefix, ...more);
       if (prefix.includes('farlight-bridges-')) process.kill(process.pid, 'SIGTERM');
       return made;
     };
     syncBuiltinESMExports();\n`,
  );
  const args = ['run', '--adapter', 'null', '--emulate', 'rtt=1', '--', 'echo', 'started'];
  const { child, done } = startFarlight(args, {
    TMPDIR,
    XDG_RUNTIME_DIR: TMPDIR,
    NODE_OPTIONS: `--import=${pathToFileURL(preload)}`,
  });
  cleanups.push(() => child.kill('SIGKILL'));
  expect(await done).toEqual({ code: 128 + 15, stdout: '', stderr: '' });
  expect(readdirSync(TMPDIR)).toEqual([]);
});

it.each([
  [
    'a folder',
    () => folder(),
    /the recording \S+ cannot be read \(EISDIR\); name a file that farlight run --record wrote/,
  ],
  [
    'a missing file',
    () => join(folder(), 'no'),
    /cannot be read \(ENOENT\); name a file that farlight run --record/,
  ],
  [
    'a file of something else',
    () => process.execPath,
    /not a recording of farlight; name a file that farlight run --record/,
  ],
])('farlight replay of %s says in a sentence what to name', async (_, path, words) => {
  expectOneSentence(await runFarlight(['replay', path(), '--adapter', 'null']), 1, words);
});
