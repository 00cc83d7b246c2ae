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
    const provider = join(root, 'dist/bundle/client/cts.js');
    const { stdout } = await run(process.execPath, ['-e', runner, provider]);
    expect(stdout).toBe('true\n');
  });
});

/** A checkout of a suite with these files in its folder of JavaScript. */
function checkout(name: string, files: Record<string, string>): string {
  const folder = join(temporary, name);
  for (const [path, text] of Object.entries({ '../package.json': '{}', ...files })) {
    const file = join(folder, 'out-node', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return folder;
}

describe('scripts/cts.mjs', () => {
  it('reports tests that pass on only one side, tests that are cut short, and why', async () => {
    const listing = [['a', 'b'], ['a', 'c'], ['z']].map((file) => ({ file }));
    const cts = checkout('compared', {
      'suite/listing.js': `exports.listing = ${JSON.stringify(listing)};`,
      'common/runtime/cmdline.js': `
      const query = process.argv.at(-1);
      const local = process.argv.some((argument) => argument.endsWith('cts/local.cjs'));
      const say = (status, name) => console.log('[' + status + '] ' + query.replace('*', name) + ' (1.5ms). Log:');
      say('pass', 'both:');
      say(local ? 'pass' : 'fail', 'one:');
      if (!local) console.log('  - EXPECTATION FAILED: 7 is not 8\\n      at somewhere');
      say('skip', 'none:');
      if (query.includes('a,c') && !local) process.exit(3);
      say('pass', 'last:');
      console.log('** Summary **');
      `,
    });
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

describe('scripts/cts/park.mjs', () => {
  it('parks and moves the session between awaits, and reports a case that has another result then', async () => {
    const cts = checkout('parked', {
      'common/internal/query/parseQuery.js': 'exports.parseQuery = (query) => query;',
      'common/internal/file_loader.js': `
        let gpu;
        const names = ['awaits', 'notices', 'loses', 'ends'].flatMap((test) => [1, 2].map((n) => 'webgpu:a:' + test + ':n=' + n));
        exports.names = names;
        exports.TestFileLoader = class {
          async loadTree() {
            return { iterateLeaves: () => names.map((name) => ({ query: name, run: (provider) => run(provider, name) })) };
          }
        };
        async function run(provider, name) {
          gpu ??= provider();
          const device = await (await gpu.requestAdapter()).requestDevice();
          const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
          const from = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
          const to = device.createBuffer({ size: 16, usage: MAP_READ | COPY_DST });
          for (let at = 1; at <= 16; at += 1) {
            device.queue.writeBuffer(from, 0, Uint32Array.of(at, 2, 3, 4));
            await device.queue.onSubmittedWorkDone();
            const encoder = device.createCommandEncoder();
            encoder.copyBufferToBuffer(from, 0, to, 0, 16);
            device.queue.submit([encoder.finish()]);
            await to.mapAsync(GPUMapMode.READ);
            if (new Uint32Array(to.getMappedRange())[0] !== at) throw new Error('other bits');
            to.unmap();
          }
          const { isParked } = JSON.parse(require('node:fs').readFileSync(process.env.FARLIGHT_CTS_PLAN, 'utf8'));
          if (isParked && name.includes('notices')) throw new Error('it was parked');
          if (isParked && name === 'webgpu:a:loses:n=1') {
            const args = ['-o', 'pid=,args=', '--ppid', String(process.ppid)];
            const processes = require('node:child_process').execFileSync('ps', args).toString().split('\\n');
            for (const executor of processes.filter((line) => line.includes('executor')))
              process.kill(Number.parseInt(executor), 'SIGKILL');
            gpu = undefined;
            await device.lost;
            throw new Error('it was lost');
          }
          if (isParked && name === 'webgpu:a:ends:n=1') process.exit(3);
          device.destroy();
        }
      `,
      'common/runtime/cmdline.js': `
        const { TestFileLoader, names } = require('../internal/file_loader.js');
        const provider = require(process.argv[process.argv.indexOf('--gpu-provider') + 1]);
        const flags = process.argv.filter((_, at) => process.argv[at - 1] === '--gpu-provider-flag');
        (async () => {
          if (process.argv.includes('--list')) return console.log(names.join('\\n'));
          for (const { query, run } of await new TestFileLoader().loadCases('webgpu:*')) {
            const why = await run(() => provider.create(flags)).then(() => undefined, (error) => error);
            console.log('[' + (why ? 'fail' : 'pass') + '] ' + query + ' (1ms). Log:\\n' + (why?.message ?? ''));
          }
          console.log('** Summary **');
        })();
      `,
    });
    const out = join(temporary, 'parked.json');
    const script = join(root, 'scripts/cts/park.mjs');
    const ended = run(process.execPath, [script, '--cts', cts, '--out', out, 'webgpu:*']);
    const { stdout } = await ended.catch((error: { stdout: string }) => error);
    expect(stdout).toContain('DIFFERS: webgpu:a:notices:n=1: pass, fail when parked\nit was parked');
    const result = JSON.parse(readFileSync(out, 'utf8'));
    expect(result.compared).toBe(8);
    expect(
      result.differences.map((each: { case: string; parked: string }) => [each.case, each.parked]),
    ).toEqual([
      ['webgpu:a:notices:n=1', 'fail'],
      ['webgpu:a:notices:n=2', 'fail'],
      ['webgpu:a:loses:n=1', 'fail'],
      ['webgpu:a:ends:n=1', 'crash'],
    ]);
    // Those of cases that lose nothing are empty.
    expect(result.differences.flatMap(({ lost }: { lost: string[] }) => lost)).toEqual([
      expect.stringMatching(/SIGKILL.*start the program again/),
    ]);
    expect(stdout).toContain('webgpu:a:loses:n=1: pass, fail when parked\ndevice lost: ');
    expect(result.done.park + result.done.move).toBeGreaterThan(0);
    expect(result.asked.park + result.asked.move).toBeGreaterThanOrEqual(12);
  }, 60_000);
});
