import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { until } from '../support/machine/processes.js';
import {
  directivesOf,
  environmentOf,
  foldersOf,
  maySandbox,
  startInSandbox,
} from '../support/machine/service-sandbox.js';
import { REPOSITORY } from '../support/repository.js';

const read = (file: string) => readFileSync(join(REPOSITORY, file), 'utf8');
const temporary = mkdtempSync(join(tmpdir(), 'farlight-deploy-'));
afterAll(() => rmSync(temporary, { recursive: true }));

/**
 * Starts a host on loopback without a GPU, otherwise with these arguments of `farlight serve`, and stops it.
 */
async function expectToServe(args: string[]): Promise<void> {
  const server = await ServeProcess.start(...args, '--listen', '127.0.0.1:0', '--adapter', 'null');
  expect(server.url, server.stderr).toMatch(/^grpc:\/\/127\.0\.0\.1:\d+$/);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
}

describe('deploy/Containerfile', () => {
  const lines = read('deploy/Containerfile').replaceAll('\\\n', ' ').split('\n');
  const instructions = lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => ({ name: line.slice(0, line.indexOf(' ')), text: line.slice(line.indexOf(' ') + 1) }));
  const all = (name: string) => instructions.filter((each) => each.name === name).map(({ text }) => text);
  const copied = all('COPY')
    .filter((text) => !text.startsWith('--from'))
    .flatMap((text) => text.split(' ').slice(0, -1));
  const list = (name: string) => JSON.parse(all(name).at(-1) ?? '') as string[];

  it('the container file copies only files of the repository', () => {
    const tracked = execFileSync('git', ['ls-files'], { cwd: REPOSITORY, encoding: 'utf8' });
    for (const source of copied) {
      expect(existsSync(join(REPOSITORY, source)), source).toBe(true);
      expect(tracked, source).toMatch(new RegExp(`^${source}(/|$)`, 'm'));
    }
  });

  it('the container file copies everything that the build and the package need', () => {
    const { include } = JSON.parse(read('tsconfig.json')) as { include: string[] };
    const { files } = JSON.parse(read('package.json')) as { files: string[] };
    const [built, wanted] = [
      files.filter((file) => /^!?dist/.test(file)),
      files.filter((file) => !/^(!|dist)/.test(file)),
    ];
    expect(built).toContain('dist');
    for (const file of [...include, ...wanted, 'scripts', 'tsconfig.json', 'package-lock.json']) {
      expect(
        copied.some((source) => file === source || file.startsWith(`${source}/`)),
        file,
      ).toBe(true);
    }
  });

  it('the container serves as a user that is not root, with its tokens and contents in a volume of that user', () => {
    expect(all('USER').at(-1)).toBe('node');
    const [volume = ''] = all('VOLUME');
    expect(all('ENV').join(' ')).toContain(`XDG_CONFIG_HOME=${volume}/config XDG_CACHE_HOME=${volume}/cache`);
    expect(all('RUN').join('\n')).toContain(`chown node:node ${volume}`);
  });

  it('the command of the container starts a host, which ends before the engine kills it', async () => {
    const [command, ...args] = [...list('ENTRYPOINT'), ...list('CMD')];
    expect([command, args[0]]).toEqual(['farlight', 'serve']);
    expect(args).toContain('0.0.0.0:7070');
    expect(Number(args[args.indexOf('--drain') + 1])).toBeLessThan(10);
    await expectToServe(args.slice(1));
  });
});

describe('deploy/farlight.service', () => {
  const unit = read('deploy/farlight.service');

  const all = (name: string) => directivesOf(unit).flatMap(([each, value]) => (each === name ? [value] : []));
  const args = all('ExecStart')
    .join()
    .replace(/^\/usr\/bin\/env farlight /, '')
    .split(' ');
  const alone = ['--listen', '127.0.0.1:0', '--dashboard', '127.0.0.1:0', '--adapter', 'software'];

  it('the unit takes away all rights that a host does not need', () => {
    for (const name of ['NoNewPrivileges', 'ProtectHome', 'PrivateTmp'])
      expect([name, all(name)]).toEqual([name, ['true']]);
    expect(all('ProtectSystem')).toEqual(['strict']);
    expect(args).toEqual(expect.arrayContaining(['serve', '--require-token', '--drain']));
  });

  it('the unit gives the host folders for its key, its contents and its sockets', () => {
    const folders = foldersOf(unit);
    expect(folders.map(({ mode }) => mode)).toEqual(['0700', '0700', '0700']);
    const { XDG_CONFIG_HOME: config, XDG_CACHE_HOME: cache, XDG_RUNTIME_DIR: sockets } = environmentOf(unit);
    expect(folders.map(({ path }) => path)).toEqual([config, cache, sockets]);
  });

  it.skipIf(!maySandbox)(
    'the unit gives a host all that it needs to start and to keep its key (needs root, unshare and a readable checkout)',
    async () => {
      const { child, printed, done } = startInSandbox(unit, [...args, ...alone]);
      await until(() => printed.stdout.includes('adapter:') || child.exitCode !== null);
      expect(printed.stdout, printed.stderr).toMatch(/^farlight host ready: grpcs:/);
      const host = `/proc/${child.pid}/root/var/lib/farlight/farlight/host`;
      expect(readdirSync(host)).toEqual(expect.arrayContaining(['identity.pem', 'tokens']));
      expect(statSync(`/proc/${child.pid}/root/run/farlight`).mode & 0o777).toBe(0o700);
      child.kill('SIGTERM');
      expect((await done).code).toBe(0);
    },
  );

  it.skipIf(!maySandbox)(
    'without its StateDirectory the unit would not work (needs root, unshare and a readable checkout)',
    async () => {
      const without = unit.replace(/^StateDirectory=.*$/m, '');
      const { code, stderr } = await startInSandbox(without, [...args, ...alone]).done;
      expect([code, stderr]).toEqual([1, expect.stringMatching(/\/var\/lib\/farlight\/\S+ cannot be used/)]);
    },
  );

  it('the unit gives a host longer to stop than its --drain', () => {
    const seconds = (pattern: RegExp) => Number(pattern.exec(unit)?.[1]);
    expect(seconds(/^TimeoutStopSec=(\d+)$/m)).toBeGreaterThan(seconds(/--drain (\d+)/) + 5);
  });

  it.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
    'systemd accepts the unit (needs systemd-analyze)',
    () => {
      const verify = (text: string) => {
        const file = join(temporary, 'farlight.service');
        writeFileSync(file, text);
        return spawnSync('systemd-analyze', ['verify', '--man=no', file], { encoding: 'utf8' }).stderr;
      };
      const about = (stderr: string) =>
        stderr.split('\n').filter((line) => line.includes('farlight.service'));
      expect(about(verify(unit))).toEqual([]);
      expect(about(verify(unit.replace('NoNewPrivileges=true', 'NoNewPrivilege=true')))).not.toEqual([]);
    },
  );
});
