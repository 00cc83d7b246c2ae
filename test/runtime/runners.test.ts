import { spawn } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { outputOf } from '../support/hosts/farlight-command.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { Installed } from '../support/newcomer/installed.js';
import { REPOSITORY } from '../support/repository.js';

let installed: Installed;
let daemon: Daemon;
let proxy: CuttingProxy;
beforeAll(async () => {
  installed = new Installed(['jest', 'vitest']);
  cpSync(join(REPOSITORY, 'test/runtime/project'), installed.folder, { recursive: true });
  daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software', warm: 0 });
  // What is behind it is not known to be on this machine.
  proxy = await CuttingProxy.start(daemon.url);
});
afterAll(async () => {
  await proxy.close();
  await daemon.close();
  installed.remove();
});

/** Both give each file of tests a realm of its own. */
const RUNNERS = [
  ['Jest', ['node_modules/jest/bin/jest.js'], '--experimental-vm-modules --no-warnings'],
  ["Vitest's vmThreads", ['node_modules/vitest/vitest.mjs', 'run', '--no-color'], ''],
] as const;

/** This run's own settings are not for the run inside of it. */
const ENVIRONMENT = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')),
);

describe.each(RUNNERS)('tests under %s', (_, command, flags) => {
  async function run(files: string[], env: NodeJS.ProcessEnv): Promise<string> {
    const NODE_OPTIONS = `${flags} ${env.NODE_OPTIONS ?? ''}`;
    const child = spawn(process.execPath, [...command, ...files], {
      cwd: installed.folder,
      // Where tests wait for ever.
      timeout: 25_000,
      env: { ...ENVIRONMENT, ...env, NODE_OPTIONS },
    });
    const { stdout, stderr } = await outputOf(child).done;
    return stdout + stderr;
  }

  it('compute on a private host, on a GPU that they create and on that of navigator', async () => {
    const env = { FARLIGHT_ADAPTER: 'software', NODE_OPTIONS: '--import farlight/register' };
    expect(await run(['created', 'registered'], env)).toMatch(/Tests:? *3 passed/);
  });

  it('compute across the network, and while they have fake timers from before or after the import', async () => {
    expect(await run(['created', 'faked'], { FARLIGHT_HOST: proxy.url })).toMatch(/Tests:? *4 passed/);
  });
});
