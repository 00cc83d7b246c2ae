import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { keepShaders } from '#farlight/server/contents/driver-shaders.js';
import { SHADERS, tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { pidOf } from '../support/hosts/fake-hosts.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { executorsOf } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const before = { ...process.env };
afterEach(() => {
  temporary.remove();
  process.env = { ...before };
});

describe('the shaders that a driver keeps', () => {
  let path: string;
  beforeEach(() => {
    path = join(temporary.make(), 'tenant', 'shaders');
  });
  const variables = () =>
    Object.fromEntries(
      Object.entries(process.env).filter(([name]) => /SHADER/.test(name) && !(name in before)),
    );

  it('lie in the named folder, which only this user can read, and take less than the folder may', () => {
    keepShaders({ path, maxBytes: 4 << 20 });
    expect(variables()).toEqual({
      MESA_SHADER_CACHE_DIR: path,
      MESA_SHADER_CACHE_MAX_SIZE: '3072K',
      __GL_SHADER_DISK_CACHE_PATH: path,
      __GL_SHADER_DISK_CACHE_SIZE: String(3 << 20),
      AMD_SHADER_DISK_CACHE_PATH: path,
    });
    expect(statSync(path).mode & 0o777).toBe(0o700);
  });

  it('stay from one process to the next, and are deleted where they take too much', () => {
    const deep = join(path, 'mesa_shader_cache', 'ab');
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'cdef'), new Uint8Array(100_000));
    keepShaders({ path, maxBytes: 200_000 });
    expect(readdirSync(deep)).toEqual(['cdef']);
    writeFileSync(join(deep, 'more'), new Uint8Array(200_000));
    keepShaders({ path, maxBytes: 200_000 });
    expect(readdirSync(path)).toEqual([]);
    expect(readdirSync(join(path, '..'))).toEqual(['shaders']);
  });

  it('lie nowhere where that is wanted, or where the folder cannot be made', () => {
    const nothing = { MESA_SHADER_CACHE_DISABLE: 'true', __GL_SHADER_DISK_CACHE: '0' };
    keepShaders('nowhere');
    expect(variables()).toEqual(nothing);
    process.env = { ...before };
    const file = join(temporary.make(), 'file');
    writeFileSync(file, '');
    keepShaders({ path: join(file, 'shaders'), maxBytes: 1 << 20 });
    expect(variables()).toEqual(nothing);
  });
});

describe('a tenant', () => {
  const hosts = secureHosts();
  afterEach(() => hosts.close());

  async function run(url: string) {
    const client = new SessionClient(remoteHost(url));
    const pid = await pidOf(client);
    const shaders = JSON.parse(Buffer.from(await client.ask(ACTION.shaders)).toString());
    return { pid, shaders, close: () => client.link.close() };
  }

  it("never gets an executor whose driver keeps shaders in another tenant's folder, and finds its own one ready", async () => {
    const root = hosts.folder();
    const { invite } = await hosts.start({ contents: { root }, warm: 0, spares: 1 });
    const tenants = { alice: invite('alice'), bob: invite('bob') };
    let last: string | undefined;
    for (const tenant of ['alice', 'alice', 'bob', 'bob', 'alice'] as const) {
      const [ready] = await executorsOf(process.pid);
      const { pid, shaders, close } = await run(tenants[tenant].url);
      const path = join(tenantFolder(tenant, root), SHADERS);
      expect(shaders).toEqual({ path, maxBytes: expect.any(Number) });
      expect(pid === ready).toBe(tenant === last);
      last = tenant;
      close();
      let others: number[];
      do others = await executorsOf(process.pid);
      while (others.length !== 1 || others[0] === pid || others[0] === ready);
    }
  });

  it('has no kept shaders where the host keeps nothing', async () => {
    const { invite } = await hosts.start();
    expect((await run(invite('alice').url)).shaders).toBe('nowhere');
  });
});
