import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { clearFolder } from '#farlight/server/contents/content-folder.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import {
  clearTenants,
  summarizeTenants,
  takeOverOldRoot,
  tenantFolder,
} from '#farlight/server/contents/tenant-folders.js';
import { content, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
let root: string;
beforeEach(() => {
  root = folders.make();
});
afterEach(() => folders.remove());

const open = (tenant: string) => new ContentStore({ folder: tenantFolder(tenant, root), maxBytes: 1 << 20 });

describe('a tenant', () => {
  it('gets nothing that another tenant has stored', async () => {
    const { name, bytes } = content(1);
    await open('alice').write(name, bytes);
    expect(open('bob').read(name)).toBeUndefined();
    expect([open('bob').names(), open('bob').summary().count]).toEqual([[], 0]);
    expect(open('alice').read(name)).toEqual(bytes);
    clearFolder(tenantFolder('bob', root));
    expect(open('alice').names()).toEqual([name]);
  });

  it('has a folder directly below the root, whatever its name', () => {
    const names = ['', 'alice', 'Alice', '..', '../bob', '/etc', 'a\0b', 'é', 'e\u0301', 'x'.repeat(10_000)];
    const paths = names.map((name) => tenantFolder(name, root));
    for (const path of paths) expect(path.slice(root.length)).toMatch(/^\/[0-9a-f]{64}$/);
    expect(new Set(paths).size).toBe(names.length);
    expect(tenantFolder('alice', root)).toBe(paths[1]);
  });

  describe('without a named root', () => {
    const before = process.env.XDG_CACHE_HOME;
    beforeEach(() => {
      process.env.XDG_CACHE_HOME = root;
    });
    afterEach(() => {
      if (before === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = before;
    });

    it('has its folder in the cache folder of the user', () => {
      expect(tenantFolder('alice')).toMatch(join(root, 'farlight/contents/'));
    });

    it('keeps the contents of an earlier version, whose folder was called blobs', async () => {
      const old = join(root, 'farlight/blobs');
      const { name, bytes } = content(1);
      const store = (top?: string) =>
        new ContentStore({ folder: tenantFolder('alice', top), maxBytes: 1 << 20 });
      await store(old).write(name, bytes);
      takeOverOldRoot();
      expect(store().read(name)).toEqual(bytes);
      expect(existsSync(old)).toBe(false);
    });

    it('keeps its own contents where an earlier version has left others', async () => {
      const old = join(root, 'farlight/blobs');
      mkdirSync(join(old, 'x'), { recursive: true });
      const { name, bytes } = content(1);
      const store = () => new ContentStore({ folder: tenantFolder('alice'), maxBytes: 1 << 20 });
      await store().write(name, bytes);
      takeOverOldRoot();
      expect(store().read(name)).toEqual(bytes);
      expect(existsSync(join(old, 'x'))).toBe(true);
    });

    it('needs no folder of an earlier version', () => {
      takeOverOldRoot();
      expect(readdirSync(root)).toEqual([]);
    });
  });
});

describe('the folders of all tenants', () => {
  it('are summed up', async () => {
    for (const [tenant, seed] of [
      ['alice', 1],
      ['alice', 2],
      ['bob', 1],
    ] as const) {
      const { name, bytes } = content(seed);
      await open(tenant).write(name, bytes);
    }
    expect(summarizeTenants(root)).toMatchObject({ tenants: 2, count: 3, bytes: 3000 });
    expect(clearTenants(root)).toEqual({ tenants: 2, count: 3, bytes: 3000 });
    expect(summarizeTenants(root)).toEqual({ tenants: 0, count: 0, bytes: 0 });
    expect(readdirSync(root)).toEqual([]);
  });

  it('are none where there is no root', () => {
    const nowhere = join(root, 'nowhere');
    expect(summarizeTenants(nowhere)).toEqual({ tenants: 0, count: 0, bytes: 0 });
    expect(clearTenants(nowhere)).toEqual({ tenants: 0, count: 0, bytes: 0 });
    expect(existsSync(nowhere)).toBe(false);
  });

  it('are cleared, and other files stay', async () => {
    const { name, bytes } = content(1);
    await open('alice').write(name, bytes);
    writeFileSync(join(tenantFolder('alice', root), 'notes.txt'), 'mine');
    mkdirSync(join(root, 'other'));
    writeFileSync(join(root, 'other', 'a'.repeat(64)), 'mine');
    expect(clearTenants(root)).toEqual({ tenants: 1, count: 1, bytes: 1000 });
    expect(readdirSync(tenantFolder('alice', root))).toEqual(['notes.txt']);
    expect(readdirSync(join(root, 'other'))).toHaveLength(1);
  });
});
