import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), 'farlight-test-cts-'));

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

describe('farlight/cts', () => {
  it('a CommonJS runner can require farlight/cts', async () => {
    const runner = `
      const { create } = require(process.argv[1]);
      if (typeof GPUBuffer !== 'function' || GPUBufferUsage.COPY_SRC !== 4) throw new Error('no globals');
      create(['adapter=null'])
        .requestAdapter()
        .then((adapter) => console.log(adapter instanceof GPUAdapter));
    `;
    const provider = join(root, 'dist/client/cts.js');
    const { stdout } = await run(process.execPath, ['-e', runner, provider]);
    expect(stdout).toBe('true\n');
  });
});

describe('scripts/cts.mjs', () => {
  /** A checkout of a suite with these `files` and this `runner`. */
  function checkout(files: string[], runner: string): string {
    const listing = files.map((file) => ({ file: file.split(',') }));
    const contents = {
      'package.json': '{}',
      'out-node/suite/listing.js': `exports.listing = ${JSON.stringify(listing)};`,
      'out-node/common/runtime/cmdline.js': runner,
    };
    for (const [name, text] of Object.entries(contents)) {
      mkdirSync(dirname(join(temporary, name)), { recursive: true });
      writeFileSync(join(temporary, name), text);
    }
    return temporary;
  }

  it('reports tests that pass on only one side, tests that are cut short, and why', async () => {
    const cts = checkout(
      ['a,b', 'a,c', 'z'],
      `
      const query = process.argv.at(-1);
      const local = process.argv.some((argument) => argument.endsWith('cts-local.cjs'));
      const say = (status, name) => console.log('[' + status + '] ' + query.replace('*', name) + ' (1.5ms). Log:');
      say('pass', 'both:');
      say(local ? 'pass' : 'fail', 'one:');
      if (!local) console.log('  - EXPECTATION FAILED: 7 is not 8\\n      at somewhere');
      say('skip', 'none:');
      if (query.includes('a,c') && !local) process.exit(3);
      say('pass', 'last:');
      console.log('** Summary **');
      `,
    );
    const out = join(temporary, 'out.json');
    const script = join(root, 'scripts/cts.mjs');
    const ended = run(process.execPath, [script, '--cts', cts, '--out', out, 'suite:a,*']);
    const { stdout } = await ended.catch((error: { stdout: string }) => error);
    expect(stdout).toContain('fail: - EXPECTATION FAILED: N is not N');
    const result = JSON.parse(readFileSync(out, 'utf8'));
    expect(result.totals.local).toMatchObject({ pass: 6, fail: 0, skip: 2 });
    expect(result.totals.farlight).toMatchObject({ pass: 3, fail: 2, skip: 2 });
    expect(
      result.differences.map((each: { case: string; farlight: string }) => [each.case, each.farlight]),
    ).toEqual([
      ['suite:a,b:one:', 'fail'],
      ['suite:a,c:one:', 'fail'],
      ['suite:a,c:last:', 'crash'],
    ]);
    expect(result.files[1].farlight).toMatchObject({ end: 'crash', code: 3 });
  });
});
