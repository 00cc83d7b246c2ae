import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isToken } from '#farlight/proto/token.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { folders } from '../support/trust/trust.js';

const STORE = new URL('../../dist/server/trust/token-store.js', import.meta.url).href;
const ADDER = fileURLToPath(new URL('../support/trust/token-adder.mjs', import.meta.url));

// Farlight takes its timers when it loads.
await vi.hoisted(async () => {
  const { fakeTimers } = await import('../support/time/fake-timers.js');
  fakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

const temporary = folders();
let folder: string;
beforeEach(() => {
  folder = join(temporary.make(), 'host', 'tokens');
});
afterEach(() => {
  temporary.remove();
});

describe('a token', () => {
  it('is a prefix and 256 random bits, in letters that need no escape in a URL', () => {
    const store = new TokenStore(folder);
    const tokens = Array.from({ length: 50 }, () => store.add().token);
    for (const token of tokens) {
      expect(isToken(token)).toBe(true);
      expect(encodeURIComponent(token)).toBe(token);
      expect(Buffer.from(token.slice(4), 'base64url')).toHaveLength(32);
    }
    expect(new Set(tokens).size).toBe(50);
  });

  it('is stored as a hash alone, in a folder and files that only their owner can read', () => {
    const { token, entry } = new TokenStore(folder).add({ note: 'laptop' });
    expect(readdirSync(folder)).toEqual([entry.id]);
    const text = readFileSync(join(folder, entry.id), 'utf8');
    expect(text).not.toContain(token.slice(4, 20));
    expect(text).not.toContain(Buffer.from(token.slice(4), 'base64url').toString('hex').slice(0, 16));
    expect(statSync(join(folder, entry.id)).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, '..')).mode & 0o777).toBe(0o700);
  });

  it('sets the limits of its tenant: the newest token that names a limit decides it', () => {
    const store = new TokenStore(folder);
    store.add({ tenant: 'alice', limits: { sessions: 2, gpuMemory: 100 }, now: 1000 });
    store.add({ tenant: 'alice', limits: { sessions: 5 }, now: 2000 });
    store.add({ tenant: 'alice', now: 3000 });
    const bob = store.add({ tenant: 'bob', limits: { sessions: 1 } });
    const other = new TokenStore(folder);
    expect(other.list().map(({ limits }) => limits?.sessions)).toEqual([5, 5, 5, 1]);
    expect(other.limitsOf('alice')).toEqual({ sessions: 5, gpuMemory: 100 });
    expect(other.limitsOf('bob')).toEqual({ sessions: 1 });
    expect(other.limitsOf('nobody')).toEqual({});
    store.revoke(bob.entry.id);
    expect(store.limitsOf('bob')).toEqual({ sessions: 1 });
  });

  it('leaves the limits of its tenant to the next token when it is revoked, until they are lifted', () => {
    const store = new TokenStore(folder);
    const old = store.add({ tenant: 'alice', limits: { sessions: 1, gpuMemory: 100 }, now: 1000 });
    const next = store.add({ tenant: 'alice', now: 2000 });
    store.revoke(old.entry.id);
    store.revoke(next.entry.id);
    store.add({ tenant: 'alice', now: 3000 });
    const host = new TokenStore(folder);
    expect(host.list().map(({ limits }) => limits)).toEqual([{ sessions: 1, gpuMemory: 100 }]);
    store.add({ tenant: 'alice', limits: { sessions: null, memory: 7 }, now: 4000 });
    host.refresh();
    expect(host.limitsOf('alice')).toEqual({ gpuMemory: 100, memory: 7 });
  });

  it('leaves the limits of its tenant to the next token where an older version wrote them into its own file', () => {
    const store = new TokenStore(folder);
    const { token, entry } = store.add({ tenant: 'alice', now: 1000 });
    const file = join(folder, entry.id);
    const kept = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify({ ...kept, limits: { sessions: 3, blobs: 4096 } }), { mode: 0o600 });
    const host = new TokenStore(folder);
    expect(host.verify(token)?.id).toBe(entry.id);
    expect(host.limitsOf('alice')).toEqual({ sessions: 3, contents: 4096 });
    host.revoke(entry.id);
    expect(host.limitsOf('alice')).toEqual({ sessions: 3, contents: 4096 });
    store.add({ tenant: 'alice', limits: { sessions: 4 } });
    expect(new TokenStore(folder).list()[0]?.limits).toEqual({ sessions: 4, contents: 4096 });
  });

  it('is refused where the file of the limits of its tenant is damaged, and other tenants are not', () => {
    const store = new TokenStore(folder);
    const alice = store.add({ tenant: 'alice', limits: { sessions: 1 } });
    const bob = store.add({ tenant: 'bob', limits: { sessions: 2 } });
    const file = readdirSync(folder).find((name) => name.endsWith('-alice')) as string;
    const good = readFileSync(join(folder, file));
    writeFileSync(join(folder, file), '{"limits":');
    const host = new TokenStore(folder);
    expect(() => host.verify(alice.token)).toThrow(
      new RegExp(`${file} should hold the limits of the tenant alice`),
    );
    expect(() => host.list()).toThrow(expect.objectContaining({ code: 'TRUST_UNUSABLE' }));
    expect(host.limitsOf('alice')).toEqual({});
    expect(host.verify(bob.token)?.tenant).toBe('bob');
    writeFileSync(join(folder, file), good);
    expect(host.verify(alice.token)?.tenant).toBe('alice');
    expect(host.limitsOf('alice')).toEqual({ sessions: 1 });
  });

  it('is invalid where its limits are invalid', () => {
    const { entry, token } = new TokenStore(folder).add({ limits: { sessions: 2 } });
    const file = join(folder, entry.id);
    const kept = JSON.parse(readFileSync(file, 'utf8'));
    for (const limits of [{ sessions: -1 }, { sessions: '2' }, { speed: 3 }, 7, null]) {
      writeFileSync(file, JSON.stringify({ ...kept, limits }));
      expect(new TokenStore(folder).verify(token)).toBeUndefined();
    }
  });

  it('verifies as its tenant, and no other text does', () => {
    const store = new TokenStore(folder);
    const alice = store.add({ tenant: 'alice', note: 'laptop', now: Date.UTC(2026, 0, 1) });
    const bob = store.add({ tenant: 'bob' });
    expect(store.verify(alice.token)).toEqual({
      id: alice.entry.id,
      tenant: 'alice',
      note: 'laptop',
      created: '2026-01-01T00:00:00.000Z',
    });
    expect(store.verify(bob.token)?.tenant).toBe('bob');
    const last = alice.token.endsWith('A') ? 'E' : 'A';
    for (const wrong of ['', alice.entry.id, alice.token.slice(0, -1), alice.token.slice(0, -1) + last])
      expect(store.verify(wrong), wrong).toBeUndefined();
    const digest = JSON.parse(readFileSync(join(folder, alice.entry.id), 'utf8')).sha256;
    expect(store.verify(digest)).toBeUndefined();
  });
});

describe('a token store', () => {
  it('lists its tokens, the oldest first, without the tokens themselves', () => {
    const store = new TokenStore(folder);
    const young = store.add({ now: 2000 });
    const old = store.add({ tenant: 'a', now: 1000 });
    expect(new TokenStore(folder).list()).toEqual([old.entry, young.entry]);
    expect(JSON.stringify(store.list())).not.toMatch(/flt_|sha256|digest/);
  });

  it('sees at once that another process has revoked or added a token', () => {
    const host = new TokenStore(folder);
    const owner = new TokenStore(folder);
    const { token, entry } = owner.add();
    expect(host.verify(token)?.id).toBe(entry.id);
    expect(owner.revoke(entry.id)).toBe(true);
    expect(host.verify(token)).toBeUndefined();
    expect(owner.revoke(entry.id)).toBe(false);
  });

  it('reports each revoked token once, even when the whole folder disappears', () => {
    const host = new TokenStore(folder);
    const gone: string[] = [];
    const stop = host.onRevoked((id) => gone.push(id));
    const owner = new TokenStore(folder);
    const [first, second, third] = [owner.add(), owner.add(), owner.add()].map(({ entry }) => entry.id);
    host.refresh();
    owner.revoke(second as string);
    host.refresh();
    host.refresh();
    expect(gone).toEqual([second]);
    rmSync(folder, { recursive: true });
    host.refresh();
    expect(gone.slice(1).sort()).toEqual([first, third].sort());
    stop();
  });

  it('notices a revocation within its interval while nobody uses a token', () => {
    const host = new TokenStore(folder);
    const gone: string[] = [];
    host.onRevoked((id) => gone.push(id));
    const stop = host.watch(1000);
    const owner = new TokenStore(folder);
    const { entry } = owner.add();
    vi.advanceTimersByTime(1000);
    owner.revoke(entry.id);
    vi.advanceTimersByTime(999);
    expect(gone).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(gone).toEqual([entry.id]);
    stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('loses nothing while four processes add and revoke tokens', async () => {
    const results = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, [ADDER, STORE, folder, '20']);
        let printed = '';
        child.stdout.on('data', (text) => {
          printed += text;
        });
        const code = await new Promise((resolve) => child.on('close', resolve));
        return { code, tokens: printed.trim().split('\n') };
      }),
    );
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const store = new TokenStore(folder);
    const tokens = results.flatMap((each) => each.tokens);
    expect(tokens).toHaveLength(40);
    expect(tokens.filter((token) => store.verify(token))).toHaveLength(40);
    expect(store.list()).toHaveLength(40);
    expect(readdirSync(folder)).toHaveLength(40);
  });

  it('refuses a folder that others may read, and says what to type', () => {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o750);
    expect(() => new TokenStore(folder)).toThrow(
      expect.objectContaining({
        code: 'TRUST_UNUSABLE',
        message: expect.stringContaining(`chmod 700 ${folder}`),
      }),
    );
  });

  it('admits nobody where a file or the folder is damaged, and tells its owner', () => {
    const store = new TokenStore(folder);
    const { token, entry } = store.add();
    writeFileSync(join(folder, entry.id), '{"tenant":"default"');
    const host = new TokenStore(folder);
    expect(host.verify(token)).toBeUndefined();
    expect(() => host.list()).toThrow(new RegExp(`${entry.id} is not a token`));
    rmSync(folder, { recursive: true });
    writeFileSync(folder, '');
    expect(() => host.verify(token)).toThrow(expect.objectContaining({ code: 'TRUST_UNUSABLE' }));
  });

  it('revokes by id alone, and never deletes a file outside its folder', () => {
    const store = new TokenStore(folder);
    store.add();
    const other = join(folder, '..', '0123456789');
    writeFileSync(other, '');
    for (const id of ['../0123456789', '', '.', 'flt_x']) expect(store.revoke(id), id).toBe(false);
    expect(statSync(other).isFile()).toBe(true);
  });

  it('refuses names and notes that are not one plain line in a list', () => {
    const store = new TokenStore(folder);
    for (const tenant of ['', ' a', 'a b', 'a/b', '\u001b[31m', '-x', 'a'.repeat(65)])
      expect(() => store.add({ tenant }), tenant).toThrow(/cannot be a tenant's name/);
    for (const note of ['', 'a\nb', '\u001b[31m', 'a'.repeat(201)])
      expect(() => store.add({ note }), note).toThrow(/a note is one line/);
    expect(store.list()).toEqual([]);
  });
});
