import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { PROFILES, SHADERS, tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { ProfileStore } from '#farlight/server/profiles/profile-store.js';
import { content, temporaryFolders } from '../support/hosts/content-files.js';
import { runFarlight } from '../support/hosts/farlight-command.js';

const folders = temporaryFolders();
let cache: string;
let root: string;
beforeEach(() => {
  cache = folders.make();
  root = join(cache, 'farlight', 'contents');
});
afterEach(() => folders.remove());

const farlightCache = (...args: string[]) =>
  runFarlight(['cache', ...args], { XDG_CACHE_HOME: cache, TZ: 'UTC' });

/** Three contents of two tenants, used in two different hours of New Year's Day. */
async function fill(): Promise<void> {
  for (const [tenant, seed, hour] of [
    ['alice', 1, 9],
    ['alice', 2, 10],
    ['bob', 1, 10],
  ] as const) {
    const { name, bytes } = content(seed, 1024);
    const now = () => Date.UTC(2026, 0, 1, hour);
    await new ContentStore({ folder: tenantFolder(tenant, root), maxBytes: 1 << 20, now }).write(name, bytes);
  }
}

describe('farlight cache ls', () => {
  it('farlight cache ls sums up the contents of all tenants', async () => {
    await fill();
    const { code, stdout, stderr } = await farlightCache('ls');
    expect(stdout).toContain(`folder    ${root}\n`);
    expect(stdout).toMatch(/tenants {3}2\n {2}contents {2}3 \(3\.0 KiB\)\n/);
    expect(stdout).toMatch(/used {6}between 2026-01-01 09:00 and 2026-01-01 10:00\n$/);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('farlight cache ls --json prints the same as JSON', async () => {
    await fill();
    const { code, stdout } = await farlightCache('ls', '--json');
    expect(JSON.parse(stdout)).toEqual({
      programs: { folder: root, tenants: 0, count: 0, bytes: 0 },
      shaders: { folder: root, tenants: 0, count: 0, bytes: 0 },
      host: {
        folder: root,
        tenants: 2,
        count: 3,
        bytes: 3072,
        oldestUse: '2026-01-01T09:00:00.000Z',
        newestUse: '2026-01-01T10:00:00.000Z',
      },
    });
    expect(code).toBe(0);
  });

  it('farlight cache ls finds nothing in a missing cache, and makes no folder', async () => {
    const { code, stdout } = await farlightCache('ls');
    expect(stdout).toMatch(/tenants {3}0\n {2}contents {2}0 \(0 bytes\)\n$/);
    expect(code).toBe(0);
    expect(existsSync(root)).toBe(false);
  });
});

describe('farlight cache clear', () => {
  it('farlight cache clear deletes everything and says how much', async () => {
    await fill();
    const profiles = new ProfileStore(join(tenantFolder('a', root), PROFILES));
    const recipe = { shape: new Uint8Array(100), payloads: [] };
    const device = { adapter: recipe, device: recipe };
    profiles.write('program', { program: 'program', device, steps: [{ ...recipe, parts: [0] }] });
    const shaders = join(tenantFolder('a', root), SHADERS);
    mkdirSync(join(shaders, 'mesa_shader_cache_db', 'part0'), { recursive: true });
    writeFileSync(join(shaders, 'mesa_shader_cache_db', 'part0', 'mesa_cache.db'), new Uint8Array(5000));
    expect(JSON.parse((await farlightCache('ls', '--json')).stdout).shaders).toMatchObject({
      tenants: 1,
      count: 1,
      bytes: 8192,
    });
    expect(await farlightCache('clear')).toEqual({
      code: 0,
      stdout: expect.stringMatching(
        /^deleted from .+: 1 \(\d+ bytes\) of what programs .+\ndeleted from .+: 1 \(8\.0 KiB\) of what the GPU.+\ndeleted from .+: 3 \(3\.0 KiB\) of uploads .+\n$/,
      ),
      stderr: '',
    });
    expect(existsSync(tenantFolder('a', root))).toBe(false);
    expect(profiles.read('program')).toBeUndefined();
    expect(JSON.parse((await farlightCache('ls', '--json')).stdout).host).toMatchObject({
      tenants: 0,
      count: 0,
    });
  });

  it('farlight cache clear --json prints it as JSON', async () => {
    await fill();
    const { stdout } = await farlightCache('clear', '--json');
    expect(JSON.parse(stdout).host).toEqual({ folder: root, tenants: 2, count: 3, bytes: 3072 });
  });

  it('farlight cache clear leaves other files alone', async () => {
    await fill();
    const other = join(cache, 'farlight', 'swiftshader-1');
    mkdirSync(other);
    await farlightCache('clear');
    expect(existsSync(other)).toBe(true);
  });
});

describe('a mistake gives one sentence and a non-zero exit code:', () => {
  it.each<[string, string[], RegExp]>([
    ['an unknown action', ['frobnicate'], /unknown command 'frobnicate'/],
    ['an unknown flag', ['ls', '--nope'], /unknown option '--nope'/],
    ['too many arguments', ['clear', 'more'], /too many arguments/],
  ])('%s', async (_name, args, words) => {
    const { code, stderr } = await farlightCache(...args);
    expect(stderr).toMatch(words);
    expect(stderr).toMatch(/^farlight: [^\n]+\n$/);
    expect(code).toBe(2);
  });

  it.each(['ls', 'clear'])('a cache that is not a folder, to %s', async (action) => {
    mkdirSync(join(cache, 'farlight'));
    writeFileSync(root, '');
    const { code, stdout, stderr } = await farlightCache(action, '--json');
    expect(stderr).toBe(
      `farlight: the cache ${root} cannot be read or cleared (ENOTDIR); make it a folder of this user, or delete it\n`,
    );
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });
});
