import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testHost } from '#farlight/testing/index.js';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const MINUTES = 3 * 60_000;

/** A command that failed. */
interface Failure {
  code: number;
  stdout: string;
  stderr: string;
}

/** A folder as a user has it: with the package, and nothing of this repository. */
const temporary = mkdtempSync(join(tmpdir(), 'farlight-package-'));
const app = join(temporary, 'app');
let tarball: string;
let checked: string;
let installed: string;

function run(command: string, ...args: string[]) {
  return runIn(app, command, ...args);
}

function runIn(folder: string, command: string, ...args: string[]) {
  return execute(command, args, { cwd: folder, env: { ...process.env, FARLIGHT_ADAPTER: 'software' } });
}

/** Installs the package into a new folder. Resolves to npm's output. */
async function install(folder: string, ...flags: string[]): Promise<string> {
  mkdirSync(folder);
  writeFileSync(join(folder, 'package.json'), '{"name":"app","private":true,"type":"module"}');
  const always = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  return (await runIn(folder, 'npm', 'install', ...always, ...flags, tarball)).stderr;
}

beforeAll(async () => {
  const check = join(root, 'scripts/package-check.mjs');
  ({ stdout: checked } = await execute(process.execPath, [check, temporary], { cwd: root }));
  const packed = readdirSync(temporary).find((name) => name.endsWith('.tgz'));
  if (!packed) throw new Error('package-check.mjs left no package');
  tarball = join(temporary, packed);
  installed = await install(app);
}, MINUTES);

afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** Computes 41 + 1 on the GPU. */
const SUM = `
  const adapter = await gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const code = '@group(0) @binding(0) var<storage, read_write> n: u32; @compute @workgroup_size(1) fn main() { n++; }';
  const compute = { module: device.createShaderModule({ code }) };
  const pipeline = await device.createComputePipelineAsync({ layout: 'auto', compute });
  const buffer = device.createBuffer({ size: 4, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST });
  const result = device.createBuffer({ size: 4, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(buffer, 0, new Uint32Array([41]));
  const entries = [{ binding: 0, resource: { buffer } }];
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(1);
  pass.end();
  encoder.copyBufferToBuffer(buffer, 0, result, 0, 4);
  device.queue.submit([encoder.finish()]);
  await result.mapAsync(GPUMapMode.READ);
  console.log('sum', new Uint32Array(result.getMappedRange())[0]);
`;

describe('the package', () => {
  it('publint and attw accept the package, and it holds no file that only the repository needs', () => {
    expect(checked).toContain('All good!');
    expect(checked).toMatch(/farlight-\S+\.tgz: \d+ files, [1-3]\.\d\d MB/);
  });

  it('the package installs without a warning on its oldest Node', () => {
    expect(installed).not.toMatch(/EBADENGINE|deprecated/);
  });

  it('the package holds the software GPU and gRPC with their licenses', () => {
    const files = readdirSync(join(app, 'node_modules/farlight/dist/server/swiftshader'));
    expect(files).toEqual(expect.arrayContaining(['LICENSE-APACHE-2.0', 'LICENSE-MIT', 'NOTICE.md']));
    const grpc = readFileSync(join(app, 'node_modules/farlight/dist/grpc/LICENSES.txt'), 'utf8');
    for (const name of ['@grpc/grpc-js', 'protobufjs', 'long'])
      expect(grpc).toContain(`\n${name} `.trimStart());
    const packages = readdirSync(join(app, 'node_modules'));
    for (const name of ['@sparticuz', '@grpc', 'protobufjs']) expect(packages).not.toContain(name);
  });

  it('the package has a command that prints its version', async () => {
    expect((await run('npx', 'farlight', '--version')).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it(
    'farlight run runs an unmodified program in the folder of the package',
    async () => {
      writeFileSync(join(app, 'sum.mjs'), `const { gpu } = navigator;${SUM}`);
      expect((await run('npx', 'farlight', 'run', '--', 'node', 'sum.mjs')).stdout).toBe('sum 42\n');
    },
    MINUTES,
  );

  it(
    'the package gives a program a GPU, and a test a host',
    async () => {
      const text = `import { create, globals, stats } from 'farlight';
        import { testHost } from 'farlight/testing';
        Object.assign(globalThis, globals);
        const host = await testHost();
        const gpu = create({ host: host.url });
        ${SUM}
        if (stats(gpu).apiCalls === 0) throw new Error('nothing was counted');
        device.destroy();
        await host.close();`;
      writeFileSync(join(app, 'host.mjs'), text);
      expect((await run('node', 'host.mjs')).stdout).toBe('sum 42\n');
    },
    MINUTES,
  );
});

describe('the package without its optional packages', () => {
  const client = join(temporary, 'client');
  beforeAll(() => install(client, '--omit=optional'), MINUTES);

  it('takes at most 12 MB', () => {
    const files = readdirSync(join(client, 'node_modules'), { recursive: true, withFileTypes: true });
    const sizes = files
      .filter((each) => each.isFile())
      .map((each) => statSync(join(each.parentPath, each.name)).size);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(12e6);
    expect(readdirSync(join(client, 'node_modules'))).not.toContain('webgpu');
  });

  it(
    'runs a program on a host elsewhere, over gRPC',
    async () => {
      writeFileSync(join(client, 'sum.mjs'), `const { gpu } = navigator;${SUM}`);
      const host = await testHost({ adapter: 'software' });
      try {
        const program = ['farlight', 'run', '--host', host.url, '--', 'node', 'sum.mjs'];
        expect((await runIn(client, 'npx', ...program)).stdout).toBe('sum 42\n');
        expect(host.counters.sessionsOpened).toBe(1);
      } finally {
        await host.close();
      }
    },
    MINUTES,
  );

  it.each([
    ['farlight run without a host', 'run', '--', 'node', 'sum.mjs'],
    ['farlight serve', 'serve', '--listen', '127.0.0.1:0'],
    ['farlight doctor', 'doctor'],
  ])(
    'says in one sentence what to install for %s',
    async (_, ...args) => {
      const { optionalDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
      const version = optionalDependencies.webgpu.replace(/^\^(\d+\.\d+)\..*/, '$1');
      const failed = (await runIn(client, 'npx', 'farlight', ...args).catch((error) => error)) as Failure;
      expect(failed.code).toBeGreaterThan(0);
      const says = `is not installed: run npm install webgpu@${version}, or use a host elsewhere with --host`;
      expect(`${failed.stdout}${failed.stderr}`).toContain(says);
    },
    MINUTES,
  );
});

describe('its types', () => {
  const CONSUMER = `
    import { close, create, type CreateOptions, FarlightError, globals, type Stats, stats } from 'farlight';
    import { canvasContext, type Frame, install } from 'farlight/canvas';
    import { emulateLink, type TestHost, testHost } from 'farlight/testing';
    import 'farlight/register';
    const options: CreateOptions = { host: 'grpc://127.0.0.1:7070' };
    Object.assign(globalThis, globals);
    const gpu: GPU = create(options);
    export const counted: Stats = stats(gpu);
    export const host: Promise<TestHost> = testHost({ adapter: 'software' });
    export const link = emulateLink({ target: 'grpc://127.0.0.1:7070', rttMs: 30 });
    export const device: Promise<GPUDevice | undefined> = gpu.requestAdapter().then((each) => each?.requestDevice());
    export const isOurs = (error: unknown): boolean => error instanceof FarlightError && error.code === 'BUSY';
    const { canvas } = canvasContext({ width: 2, height: 2 });
    export const frames: AsyncIterable<Frame> = canvas.frames();
    export const png: Promise<Uint8Array> = canvas.toPNG();
    export const uninstall: () => void = install();
    close(gpu);
  `;

  it.each([
    ['nodenext', 'nodenext'],
    ['bundler', 'esnext'],
  ])(
    'the types of the package resolve with moduleResolution %s, and find mistakes',
    async (moduleResolution, module) => {
      writeFileSync(join(app, 'consumer.ts'), CONSUMER);
      writeFileSync(join(app, 'mistake.ts'), `import { create } from 'farlight';\ncreate({ hots: 'x' });\n`);
      const tsc = join(root, 'node_modules/.bin/tsc');
      // @webgpu/types and TypeScript's own DOM library declare the same types in different versions.
      const flags = ['--noEmit', '--strict', '--skipLibCheck', '--target', 'es2023', '--module', module];
      for (const lib of ['es2023', 'es2023,dom']) {
        const check = (file: string) =>
          run(tsc, ...flags, '--lib', lib, '--moduleResolution', moduleResolution, file);
        expect((await check('consumer.ts')).stdout).toBe('');
        await expect(check('mistake.ts')).rejects.toMatchObject({ stdout: expect.stringMatching(/hots/) });
      }
    },
    MINUTES,
  );
});
