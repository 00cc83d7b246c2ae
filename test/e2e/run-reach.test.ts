import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestHost, testHost } from '#farlight/testing/index.js';
import { type Finished, runFarlight } from '../support/hosts/farlight-command.js';
import { REPOSITORY } from '../support/repository.js';

/** Inside the repository, where npm webgpu can be found. */
const out = join(REPOSITORY, 'out');
mkdirSync(out, { recursive: true });
const folder = mkdtempSync(join(out, 'reach-'));
const empty = mkdtempSync(join(tmpdir(), 'farlight-reach-'));
let host: TestHost;
beforeAll(async () => {
  host = await testHost({ adapter: 'null' });
});
afterAll(async () => {
  await host.close();
  for (const each of [folder, empty]) rmSync(each, { recursive: true });
});

function program(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

const run = (command: string[], ...options: string[]): Promise<Finished> =>
  runFarlight(['run', '--host', host.url, ...options, '--', ...command], { TMPDIR: empty });

const UNUSED = /^farlight: the program used no GPU of Farlight; it gives one to [^\n]+\n$/;

describe('programs that farlight run reaches', () => {
  const USE = `
    Object.assign(globalThis, globals);
    const use = async () => {
      const adapter = await create([]).requestAdapter();
      await adapter.requestDevice();
      console.log(adapter instanceof GPUAdapter, adapter.info.device);
    };`;
  const IMPORT = `import { create, globals, isMac } from 'webgpu';${USE}`;
  const PROGRAMS: [string, string, string][] = [
    ['a module that imports npm webgpu', 'imports.mjs', `${IMPORT} await use();`],
    [
      'a program that requires npm webgpu',
      'requires.cjs',
      `const { create, globals } = require('webgpu');${USE} use();`,
    ],
    [
      'a worker thread of it',
      'worker.mjs',
      `${IMPORT} import { isMainThread, Worker } from 'node:worker_threads';
       if (isMainThread) new Worker(new URL(import.meta.url)); else await use();`,
    ],
    [
      'a child process of it',
      'child.mjs',
      `${IMPORT} import { fork } from 'node:child_process';
       if (process.send) { await use(); process.disconnect(); } else fork(process.argv[1]);`,
    ],
  ];

  it.each(PROGRAMS)('%s', async (_, name, text) => {
    const opened = host.counters.sessionsOpened;
    const { stdout, stderr, code } = await run([process.execPath, program(name, text)]);
    expect({ stdout, stderr, code }).toEqual({ stdout: 'true null-backend\n', stderr: '', code: 0 });
    expect(host.counters.sessionsOpened).toBe(opened + 1);
  });
});

describe('farlight run on a program that used no GPU', () => {
  it('farlight run tells that a program asked for no GPU', async () => {
    const { stderr, code } = await run(['sh', '-c', 'exit 3']);
    expect(stderr).toMatch(UNUSED);
    expect(code).toBe(3);
  });

  it('farlight run tells that a program only asked for an adapter', async () => {
    const { stderr } = await run([process.execPath, '-e', 'navigator.gpu.requestAdapter()']);
    expect(stderr).toMatch(
      /^farlight: the program used no GPU of Farlight; it asked for an adapter but for no device, /,
    );
  });

  it('farlight run --stats tells that a program used no GPU, in place of numbers', async () => {
    const { stderr } = await run([process.execPath, '-e', '0'], '--stats');
    expect(stderr).toMatch(UNUSED);
  });

  it('farlight run --stats prints numbers for a program that makes its own GPU', async () => {
    const text =
      "import { create } from 'webgpu'; await (await create([]).requestAdapter()).requestDevice();";
    const { stderr } = await run([process.execPath, program('own.mjs', text)], '--stats');
    expect(stderr).toMatch(/^\nfarlight: the session in numbers\n.*\n +API calls +2 +2\n[^\0]*$/);
    expect(stderr).not.toContain('used no GPU');
  });

  it('farlight run says nothing of a program that was killed', async () => {
    expect((await run(['sh', '-c', 'kill -TERM $$'])).stderr).toBe('');
  });

  it('farlight run leaves no folder behind', () => {
    expect(readdirSync(empty)).toEqual([]);
  });
});

describe('the file of --trace or --record', () => {
  const ASK = 'await (await navigator.gpu.requestAdapter()).requestDevice();';

  it.each(['trace', 'record'])(
    'the file of an earlier run stays if the program asks for no GPU: --%s',
    async (option) => {
      const file = program('earlier', 'from an earlier run');
      const { stderr } = await run([process.execPath, '-e', '0'], `--${option}`, file);
      expect(readFileSync(file, 'utf8')).toBe('from an earlier run');
      expect(stderr).toContain(`the program asked for no GPU, so ${file} is from before\n`);
    },
  );

  it('the file of an earlier run stays until the program has a session', async () => {
    const file = program('replaced.json', 'from an earlier run');
    const text = `import { readFileSync } from 'node:fs';
      console.log(readFileSync(${JSON.stringify(file)}, 'utf8')); ${ASK}`;
    const { stdout, stderr } = await run([process.execPath, program('reads.mjs', text)], '--trace', file);
    expect(stdout).toBe('from an earlier run\n');
    expect(JSON.parse(readFileSync(file, 'utf8')).traceEvents.length).toBeGreaterThan(0);
    expect(stderr).toBe(`farlight: open in https://ui.perfetto.dev: ${file}\n`);
  });

  it('one process of a program replaces the file, and another gets its own name', async () => {
    const file = program('both.fltrace', 'from an earlier run');
    const text = `import { fork } from 'node:child_process'; ${ASK}
      if (process.send) process.disconnect(); else fork(process.argv[1]);`;
    await run([process.execPath, program('forks.mjs', text)], '--record', file);
    const names = readdirSync(folder).filter((name) => name.startsWith('both.'));
    expect(names.sort()).toEqual([expect.stringMatching(/^both\.\d+\.fltrace$/), 'both.fltrace']);
    for (const name of names) expect(readFileSync(join(folder, name), 'latin1')).not.toMatch(/^from/);
  });

  it('no file is made if the program asks for no GPU', async () => {
    const file = join(folder, 'none.json');
    const { stderr } = await run([process.execPath, '-e', '0'], '--trace', file);
    expect(existsSync(file)).toBe(false);
    expect(stderr).toContain(`the program asked for no GPU, so there is no ${file}\n`);
  });
});
