import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { SessionClient } from '../support/clients/session-client.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { pidOf } from '../support/hosts/fake-hosts.js';
import { executorsOf, isAlive, until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

const folder = mkdtempSync(join(tmpdir(), 'farlight-orphans-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('every executor of a killed host exits, whether it is spare, used, or compiling', async () => {
  const [daemon, url] = await DaemonProcess.start({ fake: true, spares: 2 });
  const [used, compiling] = [new SessionClient(remoteHost(url)), new SessionClient(remoteHost(url))];
  await pidOf(used);
  await pidOf(compiling);
  const executors = await executorsOf(daemon.pid);
  expect(executors.length).toBeGreaterThanOrEqual(3);
  compiling.link.send(Uint8Array.of(ACTION.stall));
  process.kill(daemon.pid, 'SIGKILL');
  await until(() => !executors.some(isAlive));
});

it('an executor exits whose parent was killed before the executor had loaded its code', async () => {
  const fake = fileURLToPath(FAKE_EXECUTOR);
  const late = join(folder, 'late.mjs');
  writeFileSync(
    late,
    `process.channel?.ref();
     if (process.connected) await new Promise((resolve) => process.once('disconnect', resolve));
     process.argv[1] = ${JSON.stringify(fake)};
     await import(process.argv[1]);`,
  );
  // Its GPU never opens.
  const options = { adapter: `once:${join(folder, 'never')}` };
  const parent = `
    import { ExecutorChild } from ${JSON.stringify(new URL('../../dist/link/executor/executor-child.js', import.meta.url).href)};
    const entry = new URL(${JSON.stringify(`file://${late}`)});
    const child = new ExecutorChild({ ...${JSON.stringify(options)}, entry }, { onReady() {}, onStuck() {}, onExit() {} });
    process.stdout.write(String(child.pid), () => process.kill(process.pid, 'SIGKILL'));`;
  const root = spawn(process.execPath, ['--input-type=module', '-e', parent], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let printed = '';
  root.stdout.on('data', (text) => {
    printed += text;
  });
  await once(root, 'close');
  const pid = Number(printed);
  try {
    await until(() => !isAlive(pid));
  } finally {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL');
  }
});
