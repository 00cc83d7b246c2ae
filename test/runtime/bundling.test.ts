import { spawn } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageVersion } from '#farlight/link/machine/package-version.js';
import { Daemon } from '#farlight/server/daemon.js';
import { type Finished, outputOf } from '../support/hosts/farlight-command.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { Installed } from '../support/newcomer/installed.js';
import { REPOSITORY } from '../support/repository.js';

const PROGRAM = `
  import { create, globals } from 'farlight';
  import { compute } from '${REPOSITORY}test/runtime/project/compute.js';
  Object.assign(globalThis, globals);
  compute(create()).then(
    ({ sum }) => console.log(sum, GPUBuffer.name),
    ({ code, message }) => console.log(code, message),
  );`;

let installed: Installed;
beforeAll(async () => {
  installed = new Installed();
  writeFileSync(join(installed.folder, 'package.json'), '{ "name": "app", "version": "9.9.9" }');
  for (const [format, name] of [
    ['esm', 'bundle.mjs'],
    ['cjs', 'bundle.cjs'],
  ] as const) {
    await build({
      stdin: { contents: PROGRAM, resolveDir: installed.folder },
      outfile: join(installed.folder, name),
      bundle: true,
      platform: 'node',
      format,
      minify: true,
      logLevel: 'silent',
    });
  }
});
afterAll(() => installed.remove());

function run(program: string, env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  // A program finds its packages from its own folder, or from where it is started: here neither has any.
  const options = { cwd: tmpdir(), env: { ...process.env, FARLIGHT_ADAPTER: 'software', ...env } };
  return outputOf(spawn(process.execPath, [program], options)).done;
}

describe.each(['bundle.mjs', 'bundle.cjs'])('a program that is bundled with Farlight, as %s', (name) => {
  it('computes on a private host where the package is installed', async () => {
    expect((await run(join(installed.folder, name))).stdout).toBe('42 GPUBuffer\n');
  });

  it('says elsewhere that Farlight is to be installed, and left out of the bundle', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'farlight-bundle-'));
    copyFileSync(join(installed.folder, name), join(elsewhere, name));
    for (const host of ['', 'grpc://127.0.0.1:1']) {
      expect((await run(join(elsewhere, name), { FARLIGHT_HOST: host })).stdout).toBe(
        'NOT_INSTALLED Farlight is bundled into the program, and no farlight package is installed beside it; ' +
          `mark farlight as external in the bundler, and install farlight ${packageVersion()} there\n`,
      );
    }
    rmSync(elsewhere, { recursive: true });
  });
});

describe('a program that is bundled with Farlight', () => {
  it('computes on a host across the network', async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', warm: 0 });
    // What is behind it is not known to be on this machine.
    const proxy = await CuttingProxy.start(daemon.url);
    const { stdout } = await run(join(installed.folder, 'bundle.mjs'), { FARLIGHT_HOST: proxy.url });
    expect(stdout).toBe('42 GPUBuffer\n');
    await proxy.close();
    await daemon.close();
  });

  it("calls itself by Farlight's version, not by the program's", async () => {
    const trace = join(installed.folder, 'trace.json');
    await run(join(installed.folder, 'bundle.mjs'), { FARLIGHT_ADAPTER: 'null', FARLIGHT_TRACE: trace });
    expect(readFileSync(trace, 'utf8')).toContain(`"farlight":"${packageVersion()}"`);
  });

  it('does not mix with another version of the package', async () => {
    const manifest = join(installed.folder, 'node_modules/farlight/package.json');
    const text = readFileSync(manifest, 'utf8');
    writeFileSync(manifest, text.replace(`"version": "${packageVersion()}"`, '"version": "999.0.0"'));
    const { stdout } = await run(join(installed.folder, 'bundle.mjs'));
    writeFileSync(manifest, text);
    expect(stdout).toMatch(
      /^NOT_INSTALLED .*, and farlight 999\.0\.0 is installed beside it; mark farlight as/,
    );
  });
});

it('the version in the code is that of the package', () => {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8'));
  expect(packageVersion()).toBe(version);
});
