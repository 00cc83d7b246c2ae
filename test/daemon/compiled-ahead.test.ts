import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PROFILES, tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import type { Daemon } from '#farlight/server/daemon.js';
import { ProfileStore } from '#farlight/server/profiles/profile-store.js';
import { DEFAULT_TENANT, TokenStore } from '#farlight/server/trust/token-store.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { temporaryFolders } from '../support/hosts/content-files.js';
import { fakeHosts, pidOf } from '../support/hosts/fake-hosts.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { executorsOf, until } from '../support/machine/processes.js';

const folders = temporaryFolders();
afterEach(() => folders.remove());

describe('a host that starts', () => {
  const start = fakeHosts();
  const open = (daemon: Daemon, program: string) =>
    new SessionClient(remoteHost(daemon.url), { ...HELLO, program });

  /** A folder with the profiles of these programs; the first one is the newest. */
  async function left(programs: readonly string[], tenant = DEFAULT_TENANT): Promise<string> {
    const root = folders.make();
    const store = new ProfileStore(join(tenantFolder(tenant, root), PROFILES));
    const recipe = { shape: Uint8Array.of(1), payloads: [] };
    for (const program of programs.toReversed()) {
      store.write(program, { program, device: { adapter: recipe, device: recipe }, steps: [] });
      // Each profile needs a different time.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return root;
  }

  it('warms an executor for each program that ran last, up to its limit', async () => {
    const contents = { root: await left(['a.mjs', 'b.mjs', 'c.mjs']) };
    const daemon = await start({ warm: 2, spares: 1, contents });
    await until(() => daemon.counters.executorsWarmed === 2);
    const before = new Set(await executorsOf(process.pid));
    expect(before.size).toBe(3);
    for (const program of ['a.mjs', 'b.mjs']) expect(before).toContain(await pidOf(open(daemon, program)));
    expect(daemon.counters.executorsReused).toBe(2);
  });

  it('compiles nothing ahead for an unknown tenant, or where no executor stays warm', async () => {
    const foreign = await start({ spares: 0, contents: { root: await left(['a.mjs'], 'somebody else') } });
    const none = await start({ spares: 0, warm: 0, contents: { root: await left(['a.mjs']) } });
    for (const daemon of [foreign, none]) await pidOf(open(daemon, 'a.mjs'));
    expect([foreign, none].map(({ counters }) => counters.executorsReused)).toEqual([0, 0]);
  });

  it('gives an executor that still compiles ahead to its program, and then compiles nothing else ahead', async () => {
    const daemon = await start({ warm: 4, spares: 0, contents: { root: await left(['slow', 'next']) } });
    // The executor that opened the GPU, and the one that compiles ahead.
    await expect.poll(() => executorsOf(process.pid)).toHaveLength(2);
    const pids = await executorsOf(process.pid);
    const client = open(daemon, 'slow');
    expect(pids).toContain(await pidOf(client));
    expect(daemon.counters.executorsReused).toBe(1);
    expect(daemon.counters.executorsWarmed).toBe(0);
    // The session ends like any other, and its executor becomes warm.
    client.link.close();
    await client.closed;
    await until(() => daemon.counters.executorsWarmed === 1);
    expect(await executorsOf(process.pid)).toEqual(pids);
  });

  it('does not give an executor to a second session when it becomes ready during the first', async () => {
    const daemon = await start({ warm: 4, spares: 0, contents: { root: await left(['a.mjs']) } });
    const [client, another] = [open(daemon, 'a.mjs'), open(daemon, 'a.mjs')];
    expect(await pidOf(client)).not.toBe(await pidOf(another));
    expect(daemon.counters.executorsReused).toBe(1);
    expect(daemon.counters.executorsWarmed).toBe(0);
  });

  it('compiles ahead for the tenants with tokens, and starts even if the tokens cannot be read', async () => {
    const trustFolder = folders.make();
    const tokens = join(trustFolder, 'tokens');
    new TokenStore(tokens).add({ tenant: 'alice' });
    const { log, of } = memoryLog();
    const contents = { root: await left(['a.mjs'], 'alice') };
    const options = { listen: 'grpcs://127.0.0.1:0', trustFolder, spares: 0, contents, log };
    const daemon = await start(options);
    await until(() => daemon.counters.executorsWarmed === 1);
    expect(of('executor warm')).toEqual([expect.objectContaining({ program: 'a.mjs', tenant: 'alice' })]);

    writeFileSync(join(tokens, '0123456789'), 'no token');
    await start(options);
    await until(() => of('nothing compiled ahead').length === 1);
    expect(of('nothing compiled ahead')[0]?.why).toMatch(/is not a token file that farlight wrote/);
  });

  it('continues with the next program where one crashes the executor, and logs it', async () => {
    const { log, lines } = memoryLog();
    const daemon = await start({
      warm: 4,
      spares: 0,
      log,
      contents: { root: await left(['crash', 'next']) },
    });
    await until(() => daemon.counters.executorsWarmed === 1);
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'executor lost', program: 'crash' }));
    await pidOf(open(daemon, 'next'));
    expect(daemon.counters.executorsReused).toBe(1);
  });

  it('serves a program for which compiling ahead failed, even if it came meanwhile', async () => {
    const daemon = await start({ warm: 4, spares: 0, contents: { root: await left(['spoilt']) } });
    await expect.poll(() => executorsOf(process.pid)).toHaveLength(2);
    const pids = await executorsOf(process.pid);
    expect(pids).toContain(await pidOf(open(daemon, 'spoilt')));
    expect(daemon.counters.executorsReused).toBe(1);
  });

  it('ends an executor that compiles ahead for too long', async () => {
    const { log, lines } = memoryLog();
    await start({ warm: 1, spares: 0, busyMs: 300, log, contents: { root: await left(['hang']) } });
    await until(() => lines.some(({ msg, program }) => msg === 'executor lost' && program === 'hang'));
  });
});
