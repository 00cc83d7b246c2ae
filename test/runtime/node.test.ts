import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { platformName } from '#farlight/client/node/navigator.js';
import { type Finished, outputOf } from '../support/hosts/farlight-command.js';

const PROGRAM = fileURLToPath(new URL('project/program.js', import.meta.url));
const REGISTER = import.meta.resolve('#farlight/client/register.js');

/** `node --import farlight/register ARGS`, on a private host. */
function registered(args: string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return outputOf(
    spawn(process.execPath, ['--no-warnings', '--import', REGISTER, ...args], {
      env: { ...process.env, FARLIGHT_ADAPTER: 'software', ...env },
    }),
  ).done;
}

describe('a program computes under node', () => {
  it.each(['--jitless', '--frozen-intrinsics'])('%s', async (flag) => {
    const { stdout, code } = await registered([flag, PROGRAM]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ sum: 42 });
  });
});

describe('navigator', () => {
  const PROPERTIES = ['hardwareConcurrency', 'language', 'languages', 'platform', 'userAgent'];

  it('has what that of newer Nodes has, with its values', async () => {
    const names = JSON.stringify(PROPERTIES);
    const code = `console.log(JSON.stringify(${names}.map((name) => navigator[name])))`;
    const { stdout } = await registered(['-e', code], { LC_ALL: 'de_DE.UTF-8' });
    expect(JSON.parse(stdout)).toEqual([
      availableParallelism(),
      'de-DE',
      ['de-DE'],
      platformName(process.platform, process.arch),
      `Node.js/${process.versions.node.split('.')[0]}`,
    ]);
  });

  it('has them on the prototype of a class that a program cannot construct', async () => {
    const code = `
      const { prototype } = Navigator;
      const own = Object.keys(prototype).filter((name) => ${JSON.stringify(PROPERTIES)}.includes(name)).sort();
      let thrown;
      try { new Navigator(); } catch (error) { thrown = error.message; }
      console.log(JSON.stringify([navigator instanceof Navigator, own, Object.keys(navigator), thrown]));`;
    const { stdout } = await registered(['-e', code]);
    expect(JSON.parse(stdout)).toEqual([true, PROPERTIES, ['gpu'], 'Illegal constructor']);
  });

  it('calls systems and processors as browsers do', () => {
    expect(
      [
        ['linux', 'x64'],
        ['linux', 'ia32'],
        ['linux', 'arm64'],
        ['darwin', 'arm64'],
        ['win32', 'x64'],
        ['freebsd', 'x64'],
        ['sunos', 'x64'],
        ['aix', 'ppc64'],
        ['haiku', 'x64'],
      ].map(([platform, arch]) => platformName(platform as string, arch as string)),
    ).toEqual([
      'Linux x86_64',
      'Linux i686',
      'Linux arm64',
      'MacIntel',
      'Win32',
      'FreeBSD amd64',
      'SunOS x64',
      'AIX',
      'Haiku x64',
    ]);
  });
});
