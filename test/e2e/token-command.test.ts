import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isToken } from '#farlight/proto/token.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { runFarlight } from '../support/hosts/farlight-command.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
let config: string;
beforeEach(() => {
  config = temporary.make();
});
afterEach(() => temporary.remove());

const farlightToken = (...args: string[]) => runFarlight(['token', ...args], { XDG_CONFIG_HOME: config });

const store = () => new TokenStore(join(config, 'farlight', 'host', 'tokens'));

describe('farlight token', () => {
  it('farlight token add prints only the token on stdout, and a host accepts it until it is revoked', async () => {
    const added = await farlightToken('add', '--tenant', 'alice', '--note', 'her laptop');
    const token = added.stdout.slice(0, -1);
    expect(added.code).toBe(0);
    expect(isToken(token)).toBe(true);
    expect(added.stderr).not.toContain(token);
    const entry = store().verify(token);
    expect(entry).toMatchObject({ tenant: 'alice', note: 'her laptop' });

    const listed = await farlightToken('ls');
    expect(listed.stdout).toMatch(
      new RegExp(`^id .*tenant +limits +note\n${entry?.id} .* alice +her laptop\n$`),
    );
    expect(JSON.parse((await farlightToken('ls', '--json')).stdout)).toEqual([entry]);
    expect(listed.stdout).not.toContain('flt_');

    const revoked = await farlightToken('revoke', String(entry?.id));
    expect(revoked).toEqual({ code: 0, stdout: `revoked ${entry?.id}\n`, stderr: '' });
    expect(store().verify(token)).toBeUndefined();
  });

  it('farlight token revoke works as its examples show', async () => {
    const folder = join(config, 'farlight', 'host', 'tokens');
    for (const args of [['--help'], ['revoke', '--help']]) {
      const { stdout } = await farlightToken(...args);
      const [, shown = ''] = /^ {2}farlight token revoke (\S+)/m.exec(stdout) ?? [];
      // A token that happens to have this id.
      renameSync(join(folder, store().add().entry.id), join(folder, shown));
      expect(await farlightToken('revoke', shown)).toMatchObject({ code: 0, stderr: '' });
    }
  });

  it('farlight token add with none lifts a limit of its tenant', async () => {
    await farlightToken('add', '--tenant', 'alice', '--max-sessions', '4', '--gpu-memory', '2GiB');
    expect(await farlightToken('add', '--tenant', 'alice', '--gpu-memory', 'none')).toMatchObject({
      code: 0,
    });
    const tokens = store();
    expect(tokens.list()).toHaveLength(2);
    expect(tokens.limitsOf('alice')).toEqual({ sessions: 4 });
    expect((await farlightToken('list')).code).toBe(0);
  });

  it('farlight token list shows the limits of a tenant as a person types them', async () => {
    const limits = ['--max-sessions', '4', '--gpu-memory', '2GiB', '--in-flight', '100000000'];
    const more = ['--content-bytes', '512MiB', '--gpu-share', '1.5'];
    const { code } = await farlightToken('add', '--tenant', 'alice', ...limits, ...more);
    expect(code).toBe(0);
    expect(store().list()[0]?.limits).toEqual({
      sessions: 4,
      gpuMemory: 2 * 2 ** 30,
      inFlight: 100_000_000,
      contents: 512 * 2 ** 20,
      gpuShare: 1.5,
    });
    const { stdout } = await farlightToken('list');
    expect(stdout).toContain([...limits, ...more].join(' '));
    for (const wrong of [
      ['--max-sessions', '0'],
      ['--gpu-share', '0'],
      ['--gpu-memory', '0'],
      ['--content-bytes', '0MiB'],
      ['--gpu-memory', 'much'],
    ])
      expect((await farlightToken('add', ...wrong)).code).not.toBe(0);
    expect(store().list()).toHaveLength(1);
  });

  it('farlight token list without tokens says so, and makes no folder', async () => {
    expect((await farlightToken('list')).stdout).toBe('no tokens; make one with: farlight token add\n');
    expect((await farlightToken('list', '--json')).stdout).toBe('[]\n');
    expect(existsSync(join(config, 'farlight'))).toBe(false);
  });

  it('farlight token revoke rejects an unknown id, and does not repeat a token given for one', async () => {
    const token = `flt_${'a'.repeat(43)}`;
    const { code, stderr } = await farlightToken('revoke', token);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'farlight: there is no token with the id "flt_***"; farlight token ls shows the ids\n',
    });
  });
});
