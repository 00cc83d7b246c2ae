import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { outputOf } from '../support/hosts/farlight-command.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';

const REGISTER = import.meta.resolve('#farlight/client/register.js');

let daemon: Daemon;
let proxy: CuttingProxy;
beforeAll(async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'software' });
  // What is behind it is not known to be on this machine.
  proxy = await CuttingProxy.start(daemon.url);
});
afterAll(async () => {
  await proxy.close();
  await daemon.close();
});

const HOSTS: [string, () => NodeJS.ProcessEnv][] = [
  ['a private host', () => ({ FARLIGHT_ADAPTER: 'software', FARLIGHT_HOST: '' })],
  ['a host on this machine', () => ({ FARLIGHT_HOST: daemon.url })],
  ['a host across the network', () => ({ FARLIGHT_HOST: proxy.url })],
];

describe.each(HOSTS)('on %s', (_, host) => {
  it.each([
    ['timers and clocks with those of a test, which stand still', 'faked'],
    ['Promise and other classes with its own, which are not for others', 'replaced'],
  ])('a program computes that has replaced %s', async (_, name) => {
    const program = fileURLToPath(new URL(`project/${name}.js`, import.meta.url));
    const env = { ...process.env, ...host() };
    const child = spawn(process.execPath, ['--import', REGISTER, program], { env, timeout: 25_000 });
    const { code, stdout, stderr } = await outputOf(child).done;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({ sum: 42 });
  });
});
