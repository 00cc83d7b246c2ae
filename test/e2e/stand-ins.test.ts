import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { miniatureSuite } from '../support/conformance-suite/miniature-suite.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';
import { runProgram } from '../support/newcomer/newcomer-tools.js';
import { REPOSITORY } from '../support/repository.js';

const temporary = mkdtempSync(join(tmpdir(), 'farlight-stand-ins-'));
afterAll(() => rmSync(temporary, { recursive: true, force: true }));

/** Runs a stand-in to its end. */
const standIn = (name: string, args: string[], env: NodeJS.ProcessEnv = {}, input = '') =>
  runProgram(join(REPOSITORY, 'test/support/newcomer/stand-ins', `${name}.mjs`), args, { env, input });

/** Mistakes in a documented command, with the message of its stand-in. */
type Wrong = [args: string, says: RegExp];

describe('the stand-in for grpcurl', () => {
  let host: ServeProcess;
  beforeAll(async () => {
    host = await ServeProcess.start();
  });
  afterAll(() => host.child.kill());

  const run = (args: string) => standIn('grpcurl', args.replace('HOST', host.url.slice(7)).split(' '));

  it('the stand-in for grpcurl lists, describes and calls the services of the host', async () => {
    const { stdout: services } = await run('-plaintext HOST list');
    expect(services).toBe('farlight.v1.Host\nfarlight.v1.Lines\nfarlight.v1.Moves\nfarlight.v1.Sessions\n');
    const { stdout } = await run('-plaintext HOST farlight.v1.Host/Describe');
    expect(JSON.parse(stdout)).toMatchObject({ adapter: { name: 'null' } });
  });

  it.each<Wrong>([
    ['-plain HOST list', /flag provided but not defined: -plain/],
    ['HOST list', /Failed/],
    ['-insecure HOST list', /Failed/],
    ['-plaintext HOST describe farlight.v1.Hosts', /Symbol not found/],
    ['-plaintext HOST farlight.v1.Host/Describes', /does not include a method/],
    ['-plaintext -H authorization HOST list', /no colon/],
  ])('refuses %s', async (args, says) => {
    const { code, stderr } = await run(args);
    expect(stderr).toMatch(says);
    expect(code).not.toBe(0);
  });
});

describe('the stand-in for ssh', () => {
  const env = { FARLIGHT_STAND_IN_MACHINE: '{"name":"gpu-box","ports":{}}' };

  it('the stand-in for ssh forwards to the port of the other machine', async () => {
    const there = createServer((_, response) => response.end('from there')).listen(0, '127.0.0.1');
    await new Promise((resolve) => there.once('listening', resolve));
    const ports = { 7071: (there.address() as AddressInfo).port };
    const port = await freePort();
    const machine = JSON.stringify({ name: 'gpu-box', ports });
    const stop = new AbortController();
    const ssh = runProgram(
      join(REPOSITORY, 'test/support/newcomer/stand-ins/ssh.mjs'),
      ['-L', `${port}:127.0.0.1:7071`, 'gpu-box'],
      { env: { FARLIGHT_STAND_IN_MACHINE: machine }, signal: stop.signal },
    );
    const text = async (): Promise<string> =>
      fetch(`http://127.0.0.1:${port}/`).then((response) => response.text(), text);
    expect(await text()).toBe('from there');
    stop.abort();
    await ssh;
    there.close();
  });

  it.each<Wrong>([
    ['-L 7071:127.0.0.1 gpu-box', /Bad local forwarding|bad local forwarding/i],
    ['-Z 7071:127.0.0.1:7071 gpu-box', /unknown option -- Z/],
    ['-l 7071:127.0.0.1:7071 gpu-box', /forwards with -L alone/],
    ['-L 7071:127.0.0.1:7071 other-box', /Could not resolve hostname other-box/],
    ['-L 7071:127.0.0.1:7071', /usage/],
  ])('refuses %s', async (args, says) => {
    const { code, stderr } = await standIn('ssh', args.split(' '), env);
    expect(stderr).toMatch(says);
    expect(code).toBe(255);
  });
});

describe('the stand-ins for journalctl and jq', () => {
  const journal = join(temporary, 'journal');
  writeFileSync(journal, 'farlight host ready\n{"msg":"session ended","code":"BUSY"}\n{"msg":"other"}\n');
  const read = (args: string) =>
    standIn('journalctl', args.split(' '), { FARLIGHT_STAND_IN_JOURNAL: journal });

  it('the stand-ins for journalctl and jq print the log of a host, and filter it', async () => {
    const { stdout } = await read('-u farlight -o cat');
    expect(stdout).toMatch(/^Started farlight\.service.*\nfarlight host ready\n/);
    const filter = 'fromjson? | select(.msg == "session ended" and .code != "CLOSED")';
    const found = await standIn('jq', ['-R', '-c', filter], {}, stdout);
    expect(found.stdout).toBe('{"msg":"session ended","code":"BUSY"}\n');
    const none = await standIn('jq', ['-R', filter.replace('.msg', '.message')], {}, stdout);
    expect(none.stdout).toBe('');
  });

  it('the stand-in for jq fails on malformed JSON, or an unknown filter', async () => {
    const { stdout } = await read('-u farlight -o cat');
    expect((await standIn('jq', ['select(.code == "BUSY")'], {}, stdout)).code).not.toBe(0);
    expect((await standIn('jq', ['-R', 'fromjson? | choose(.code == 1)'], {}, stdout)).code).not.toBe(0);
    expect((await read('-u farlight -o cats')).stderr).toContain("Unknown output format 'cats'");
    expect((await read('-u farlights -o cat')).stdout).toBe('');
  });
});

describe('the stand-in for podman', () => {
  const context = join(temporary, 'context');
  const env = { FARLIGHT_STAND_IN_ENGINE: join(temporary, 'engine') };
  const file = (text: string) => {
    mkdirSync(context, { recursive: true });
    writeFileSync(join(context, 'Containerfile'), text);
    return `build -f ${context}/Containerfile -t image ${context}`;
  };
  const BASE = 'FROM docker.io/library/node:22-slim\n';
  const GOOD = `${BASE}RUN mkdir /data\nVOLUME /data\nEXPOSE 7070\nENTRYPOINT ["echo"]\nCMD ["0.0.0.0:7070"]\n`;
  const podman = (args: string) => standIn('podman', args.split(' '), env);

  beforeAll(async () => {
    expect((await podman(file(GOOD))).code).toBe(0);
  });

  it('the stand-in for podman runs an image with its ports and volumes', async () => {
    const { stdout } = await podman('run --name one -p 127.0.0.1:7171:7070 -v kept:/data image');
    expect(stdout).toBe('grpcs://127.0.0.1:7171\n');
  });

  it.each<Wrong>([
    ['run --name two -p 7070:7071 -v kept:/data image', /exposes 7070, and not 7071/],
    ['run --name two -p 7070:7070 -v kept:/date image', /keeps what it has in \/data/],
    ['run --name two -p 7070:7070 -v kept:/data other', /did not resolve/],
    ['run --names two image', /unknown flag: --names/],
    ['run --name two -p 7070 -v kept:/data image', /invalid port format/],
    ['exec two ls', /no container with name/],
    ['builds .', /unrecognized command/],
  ])('refuses %s', async (args, says) => {
    const { code, stderr } = await podman(args);
    expect(stderr).toMatch(says);
    expect(code).toBe(125);
  });

  it.each<Wrong>([
    ['COPY nothing there', /no such file/],
    ['COPY --from=other /a /b', /no stage is called other/],
    ['RUN false', /exit status 1/],
    ['RUN apt-get instal --yes libvulkan1', /Invalid operation/],
    ['RUN apt-get install libvulkan1', /Abort/],
    ['RUN chown nobody:node /tmp', /invalid user/],
    ['USER nobody', /unable to find user/],
    ['VOLUME /nowhere', /is not in the image/],
    ['COPYY a b', /unknown instruction/],
    ['FROM docker.io/library/nodes:22-slim', /manifest unknown/],
  ])('the stand-in for podman does not build with %s', async (line, says) => {
    const { code, stderr } = await podman(file(`${BASE}${line}\n`));
    expect(stderr).toMatch(says);
    expect(code).toBe(125);
  });
});

describe('the miniature of the conformance suite', () => {
  const suite = join(temporary, 'cts');
  beforeAll(() => {
    const env = { ...process.env, ...miniatureSuite(join(temporary, 'suite')) };
    execFileSync('git', ['clone', '--quiet', 'https://github.com/gpuweb/cts', suite], { env });
    execFileSync('npm', ['ci'], { cwd: suite, stdio: 'ignore' });
    execFileSync('npx', ['grunt', 'node'], { cwd: suite, env, stdio: 'ignore' });
  });
  const provider = ['--gpu-provider', join(REPOSITORY, 'dist/bundle/client/cts.js')];
  const run = (cwd: string, ...args: string[]) =>
    runProgram(process.execPath, [join(suite, 'out-node/common/runtime/cmdline.js'), ...args], { cwd });

  it('the miniature suite fails on a wrong query, option, provider, flag or folder', async () => {
    const good = ['webgpu:idl,*', ...provider, '--gpu-provider-flag', 'adapter=null'];
    const changed = (from: string, to: string) => good.map((word) => word.replace(from, to));
    const failing: [string, string[], RegExp][] = [
      [suite, changed('idl', 'idle'), /does not match any cases/],
      [suite, changed('--gpu-provider-flag', '--gpu-flag'), /unrecognized flag/],
      [suite, changed('cts.js', 'ctx.js'), /Cannot find module/],
      [suite, changed('adapter', 'adaptor'), /does not know the flag/],
      [temporary, good, /Must be run from repository root/],
    ];
    expect((await run(suite, ...good)).stdout).toContain(
      'Passed  w/o warnings = 1\nFailed               = 0',
    );
    for (const [cwd, args, says] of failing) {
      const { code, stdout, stderr } = await run(cwd, ...args);
      expect(stdout + stderr).toMatch(says);
      expect(code).toBe(1);
    }
  });

  it('the miniature suite has only the documented task', () => {
    const nodes = () => execFileSync('npx', ['grunt', 'nodes'], { cwd: suite, stdio: 'pipe' });
    expect(nodes).toThrow(/Task "nodes" not found/);
  });
});
