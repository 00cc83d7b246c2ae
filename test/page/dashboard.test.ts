import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EventReader } from '#farlight/page/site/event-reader.js';
import { noWork } from '#farlight/proto/session/session-counts.js';
import type { Span } from '#farlight/proto/session/spans.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { TenantContents } from '#farlight/server/daemon/tenants/tenant-contents.js';
import { newCounters } from '#farlight/server/observatory/counters.js';
import type { SpansView } from '#farlight/server/observatory/host-view.js';
import { Observatory } from '#farlight/server/observatory/observatory.js';
import { ContentCensus } from '#farlight/server/page/content-census.js';
import { type HostEvent, openDashboard } from '#farlight/server/page/dashboard.js';
import { content, temporaryFolders } from '../support/hosts/content-files.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { until } from '../support/machine/processes.js';

const folders = temporaryFolders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
  folders.remove();
});

const HOST = {
  version: '1.2.3',
  url: 'grpc://127.0.0.1:7070',
  adapter: undefined,
  adapterProblem: '',
  gpuMemory: { total: 1 << 30, capacity: 1 << 29, source: 'the driver' },
  counters: newCounters(),
  executors: { busy: 0, spare: 0, warm: 0, changing: 0 },
};

async function serve(contents?: TenantContents, isOwner = true) {
  const wishes: string[] = [];
  const observatory = new Observatory({ now: Date.now, host: () => HOST });
  const { log, lines } = memoryLog();
  const page = openDashboard({
    address: '127.0.0.1:0',
    observatory,
    contents,
    log,
    control: {
      park: async (session) => void wishes.push(`park ${session}`),
      move: async (session, to) => {
        wishes.push(`move ${session} to ${to}`);
        throw new Error('it is at work');
      },
    },
    mayLook: async () => true,
    mayAct: async () => isOwner,
  });
  cleanups.push(() => page.close());
  await page.listen();
  return { observatory, page, lines, wishes };
}

/** Follows an event stream until `stop`. */
function follow<T>(url: string): { events: T[]; stop(): void } {
  const events: T[] = [];
  const reader = new EventReader((_, data) => events.push(JSON.parse(data)));
  const request = get(url, { agent: false }, (response) => {
    response.setEncoding('utf8').on('data', (text) => reader.push(text));
    response.on('error', () => {});
  });
  request.on('error', () => {});
  const stop = () => request.destroy();
  cleanups.push(stop);
  return { events, stop };
}

const span = { kind: 1, name: '', label: '', start: 1, end: 2, number: 1, bytes: 3 } as Span;

describe('the dashboard', () => {
  it('sends the current state at once, and then the changes', async () => {
    const { observatory, page } = await serve();
    const session = observatory.begin({ session: 'abcdef', program: 'app.mjs', tenant: 'default' }, () => {});
    session.carried({ framesUp: 1, framesDown: 0, bytesUp: 5, bytesDown: 0 }, noWork());
    const { events } = follow<HostEvent>(`${page.url}/events`);
    await until(() => events.length === 1);
    expect(events[0]?.host).toMatchObject({ version: '1.2.3', sessions: [{ program: 'app.mjs' }] });
    expect(events[0]?.seconds).toMatchObject([{ bytesUp: 5 }]);
    session.ended({ code: 'CLOSED', message: 'done' });
    await until(() => events.some(({ host }) => host.ends.length === 1));
    expect(events.at(-1)?.host.sessions).toEqual([]);
  });

  it('watches a session while a reader is connected, and sends its spans', async () => {
    const { observatory, page } = await serve();
    const watching: boolean[] = [];
    const facts = { session: 'abcdef', program: 'app.mjs', tenant: 'default' };
    const session = observatory.begin(facts, (on) => watching.push(on));
    session.opened('llvmpipe');
    const { events, stop } = follow<SpansView>(`${page.url}/watch?session=abcdef`);
    await until(() => watching.length === 1);
    session.did([span], 2);
    await until(() => events.length === 1);
    expect(events).toEqual([{ spans: [span], left: 2 }]);
    stop();
    await until(() => watching.length === 2);
    expect(watching).toEqual([true, false]);
    expect((await fetch(`${page.url}/watch?session=nobody`)).status).toBe(404);
  });

  it('keeps serving, and logs an error, where the contents cannot be counted', async () => {
    const root = join(folders.make(), 'file');
    writeFileSync(root, '');
    const { page, lines } = await serve(new TenantContents({ root }, () => undefined));
    expect((await fetch(`${page.url}/host.json`)).status).toBe(200);
    expect(lines).toMatchObject([
      { level: 'error', msg: 'dashboard failed', why: expect.stringMatching(/ENOTDIR/) },
    ]);
  });
});

describe('the contents that a host keeps', () => {
  it('are counted by tenant, named if it has had a session, at most every ten seconds', async () => {
    const root = folders.make();
    const put = async (tenant: string, seed: number, size: number) => {
      const { name, bytes } = content(seed, size);
      await new ContentStore({ folder: tenantFolder(tenant, root), maxBytes: 1 << 20 }).write(name, bytes);
    };
    await put('alice', 1, 1000);
    await put('alice', 2, 1000);
    await put('bob', 1, 500);
    let now = 0;
    const census = new ContentCensus({ root, tenants: () => ['alice'], now: () => now });
    const before = await census.counts();
    expect(before).toEqual([
      { tenant: 'alice', count: 2, bytes: 2000 },
      { tenant: undefined, count: 1, bytes: 500 },
    ]);
    await put('alice', 3, 1000);
    now = 9999;
    expect(await census.counts()).toEqual(before);
    now = 10_000;
    expect((await census.counts())[0]).toEqual({ tenant: 'alice', count: 3, bytes: 3000 });
  });

  it('are none where none were ever kept', async () => {
    const root = join(folders.make(), 'not-there');
    expect(await new ContentCensus({ root, tenants: () => [], now: () => 0 }).counts()).toEqual([]);
  });
});

describe('what the owner wants done with a session', () => {
  it('is done, or answered with the reason', async () => {
    const { page, wishes } = await serve();
    const post = (path: string) => fetch(`${page.url}${path}`, { method: 'POST' });
    expect((await post('/session/park?session=abc')).status).toBe(204);
    const refused = await post('/session/move?session=abc&to=grpc%3A%2F%2F127.0.0.1%3A7079');
    expect([refused.status, await refused.text()]).toEqual([409, 'it is at work']);
    expect(wishes).toEqual(['park abc', 'move abc to grpc://127.0.0.1:7079']);
  });

  it('is refused to other users, to other pages, and to a link that somebody follows', async () => {
    const others = await serve(undefined, false);
    const theirs = await fetch(`${others.page.url}/session/park?session=abc`, { method: 'POST' });
    expect([theirs.status, others.wishes]).toEqual([403, []]);
    const { page, wishes } = await serve();
    const headers = { origin: 'https://evil.example' };
    const foreign = await fetch(`${page.url}/session/park?session=abc`, { method: 'POST', headers });
    expect(foreign.status).toBe(403);
    expect((await fetch(`${page.url}/session/park?session=abc`)).status).toBe(405);
    expect(wishes).toEqual([]);
  });
});
