import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { InferenceServer } from '#farlight/infer/inference-server.js';
import { openDashboard } from '#farlight/infer/page/dashboard.js';
import type { InferenceRequest } from '#farlight/infer/service/service.js';
import type { ServiceState } from '#farlight/infer/service/state.js';
import { monotonicNow } from '#farlight/link/machine/clock.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { expectAccessible } from '../../support/pages/accessibility.js';
import { openChromium } from '../../support/pages/chromium.js';
import { folders } from '../../support/trust/trust.js';
import { FakeService } from '../protocol/fake-service.js';

const MIB = 2 ** 20;
const MEMORY = { available: 900 * MIB, weights: 5 * MIB, runs: 6 * MIB, values: 7 * MIB, queue: 1 };

/** A service with a GPU host, whose requests have all parts of a time. */
class SeenService extends FakeService {
  lane: ServiceState['lanes'][number]['state'] = 'idle';
  #ran: (items: number) => void = () => {};

  override state(): ServiceState {
    const place = { host: 'grpc://gpu:7070', resource: 'gpu' as const };
    const memory = { ...MEMORY, limit: 1000 * MIB, used: 100 * MIB, reserved: 50 * MIB, others: 200 * MIB };
    const busy = this.lane === 'running' ? { what: 'model simple version 1', items: 4 } : {};
    return {
      requests: this.waiting.length,
      backlog: 1500,
      queues: [
        { model: 'simple', version: '1', waiting: 3, running: 4, oldest: 250 },
        {
          model: 'ocr',
          version: '1',
          function: 'function crops.mjs#crop of graph ocr',
          waiting: 0,
          running: 0,
          oldest: 0,
        },
      ],
      hosts: [
        { name: 'grpc://gpu:7070', resource: 'gpu', memory },
        { name: 'functions', resource: 'cpu' },
      ],
      lanes: [
        {
          ...place,
          name: 'grpc://gpu:7070#0',
          state: this.lane,
          ...busy,
          for: 40,
          loaded: ['model simple version 1'],
        },
        {
          ...place,
          name: 'grpc://gpu:7070#1',
          state: 'closed',
          for: 0,
          loaded: [],
          reason: 'The host is down.',
        },
        { name: 'functions#0', host: 'functions', resource: 'cpu', state: 'idle', for: 0, loaded: [] },
      ],
    };
  }

  override onRun(listener?: (items: number) => void) {
    this.#ran = listener ?? (() => {});
    return () => {};
  }

  override async infer(request: InferenceRequest, signal?: AbortSignal) {
    const from = monotonicNow();
    const run = { id: 1, lane: 'grpc://gpu:7070#0', batch: 4, items: 1 };
    const result = await super.infer(request, signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const [index, part] of (['queue', 'batch', 'load', 'move'] as const).entries()) {
      request.onSpan?.({ part, from: from + 5 * index, to: from + 5 * index + 5, run });
    }
    request.onSpan?.({ part: 'gpu', from: from + 20, to: monotonicNow(), run });
    this.#ran(4);
    return result;
  }
}

let browser: Browser;
const ends: (() => unknown)[] = [];
const temporary = folders();
beforeAll(async () => {
  browser = await openChromium();
});
afterAll(() => browser.close());
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  for (const end of ends.splice(0).reverse()) await end();
  temporary.remove();
});

async function serve(address = '127.0.0.1:0') {
  const service = new SeenService();
  const trust = inferenceTrust({ http: '127.0.0.1:0', grpc: undefined }, () => {});
  const server = new InferenceServer({
    service,
    trust,
    name: 'farlight',
    version: '1.2.3',
    onError: () => {},
  });
  const { observatory, metrics } = server;
  const page = openDashboard({ address, observatory, metrics, mayLook: async () => true, onError: () => {} });
  const close = () => Promise.all([server.close(100), page.close()]);
  ends.push(close);
  await server.listen();
  await page.listen();
  const ask = (model = 'echo-INT32') =>
    fetch(`${server.httpUrl}/v2/models/${encodeURIComponent(model)}/infer`, {
      method: 'POST',
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [7] }] }),
    });
  return { service, server, page, ask, close };
}

/** The page's log, which shows most of all what its policy has blocked. */
const logged: string[] = [];

async function open(url: string): Promise<Page> {
  const page = await browser.newPage();
  logged.length = 0;
  page.on('console', (message) => logged.push(message.text()));
  page.on('pageerror', (error) => logged.push(error.message));
  await page.goto(url);
  await page.getByRole('status').getByText('live', { exact: true }).waitFor();
  return page;
}

/** Each row of a table, by the titles of its columns. */
async function rowsOf(page: Page, place: string): Promise<Record<string, string>[]> {
  const heads = await page.locator(`${place} thead th`).allTextContents();
  const rows = await page.locator(`${place} tbody tr`).all();
  return Promise.all(
    rows.map(async (row) => {
      const cells = await row.locator('th, td').allTextContents();
      return Object.fromEntries(heads.map((head, index) => [head, cells[index] ?? '']));
    }),
  );
}

/** A server that asks for tokens, as behind a proxy, and a token of each tenant. */
async function serveTenants() {
  const service = new SeenService();
  const trustFolder = temporary.make();
  const options = { http: '127.0.0.1:0', grpc: undefined, behindProxy: 'gpu.example:443', trustFolder };
  const trust = inferenceTrust(options, () => {});
  const tokens = new TokenStore(join(trustFolder, 'tokens'));
  const [alice = '', bob = ''] = ['alice', 'bob'].map((tenant) => tokens.add({ tenant }).token);
  const server = new InferenceServer({
    service,
    trust,
    name: 'farlight',
    version: '1.2.3',
    onError: () => {},
  });
  ends.push(() => server.close(100));
  await server.listen();
  const url = `http://127.0.0.1:${new URL(server.httpUrl).port}`;
  const ask = (token: string, model: string) =>
    fetch(`${url}/v2/models/${model}/infer`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
      body: JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [7] }] }),
    });
  return { url, alice, bob, ask };
}

describe('the page of an inference server', { timeout: 90_000 }, () => {
  it('the page shows where the time of each request went, and the lanes, queues and hosts', async () => {
    const { page: dashboard, ask, service } = await serve();
    const page = await open(dashboard.url);
    await page.getByText('No request has ended since the server started.').waitFor();
    service.lane = 'running';
    await ask();
    await ask('nosuch');
    await page.locator('#recent tbody tr').nth(1).waitFor();
    const [failed, done] = await rowsOf(page, '#recent');
    expect(failed).toMatchObject({ Model: 'nosuch', Outcome: 'not-found', Batch: '-' });
    expect(failed?.Why).toContain('nosuch');
    expect(done).toMatchObject({
      Model: 'echo-INT32 1',
      Tenant: 'default',
      Outcome: 'done',
      Batch: '4',
      Lanes: 'grpc://gpu:7070#0',
    });
    expect(done?.['Where the time went']).toMatch(/\d/);
    for (const part of ['queue', 'batch', 'load', 'move', 'gpu']) {
      expect(await page.locator(`#recent tr:last-child .part-${part}`).count()).toBe(1);
    }
    const [median, p99] = await rowsOf(page, '#times');
    expect(median).toMatchObject({
      Model: 'echo-INT32 1',
      Of: 'median',
      Requests: '1',
      GPU: expect.stringMatching(/^\d/),
      batching: '5.0 ms',
    });
    expect(p99).toMatchObject({ Of: 'p99', loading: '5.0 ms', 'moving bytes': '5.0 ms', functions: '0 s' });
    expect(await rowsOf(page, '#queues')).toMatchObject([
      { Model: 'simple 1', Waiting: '3', Running: '4', 'Oldest waits': '250 ms' },
      { Model: 'function crops.mjs#crop of graph ocr', Waiting: '0' },
    ]);
    expect(await rowsOf(page, '#lanes')).toMatchObject([
      {
        Lane: 'grpc://gpu:7070#0',
        State: 'running simple 1',
        Items: '4',
        Since: '40 ms',
        Loaded: 'simple 1',
      },
      { Lane: 'grpc://gpu:7070#1', State: 'closed: The host is down.' },
    ]);
    expect(await rowsOf(page, '#hosts')).toMatchObject([
      {
        Host: 'grpc://gpu:7070',
        Limit: '0.98 GiB',
        Used: '100 MiB',
        Reserved: '50.0 MiB',
        'Used by others': '200 MiB',
      },
    ]);
    expect(await rowsOf(page, '#tenants')).toMatchObject([
      { Tenant: 'default', Ended: '2', 'Without a result': '1' },
    ]);
    // A chart leaves out the second that goes on.
    await expect.poll(() => page.locator('#batch-said').textContent()).toContain('largest at most 4');
    await expect
      .poll(() => page.locator('#memory-0-said').textContent())
      .toContain('used by others at most 200 MiB');
    expect(logged).toEqual([]);
  });

  it('the page reconnects by itself when the server is back, and shows the new one', async () => {
    const before = await serve();
    const { host } = new URL(before.page.url);
    const page = await open(before.page.url);
    await before.ask();
    await page.locator('#recent tbody tr').waitFor();
    await before.close();
    await page.getByRole('status').getByText('no answer, retrying').waitFor();
    await serve(host);
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
    await page.getByText('No request has ended since the server started.').waitFor();
  });

  it('the name of a model that a client asks for is never markup', async () => {
    const { page: dashboard, ask } = await serve();
    const model = '<img src=x onerror="window.ran=1">';
    await ask(model);
    const page = await open(dashboard.url);
    await page.locator('#recent tbody tr').waitFor();
    expect(await page.locator('#recent tbody th').textContent()).toBe(model);
    expect(await page.locator('main img').count()).toBe(0);
    expect(await page.evaluate('window.ran')).toBeUndefined();
    expect(logged).toEqual([]);
  });

  it('the page passes axe: light, dark, on a screen and on a phone', async () => {
    const { page: dashboard, ask, service } = await serve();
    service.ready = false;
    await ask();
    await ask('nosuch');
    const page = await open(dashboard.url);
    await page.locator('#recent tbody tr').nth(1).waitFor();
    await expectAccessible(page);
  });
});

describe('the page of a tenant', { timeout: 90_000 }, () => {
  it("a tenant's page asks for the token, and shows only that tenant's requests", async () => {
    const { url, alice, bob, ask } = await serveTenants();
    await ask(bob, 'echo-FP16');
    await ask(alice, 'echo-INT32');
    const page = await browser.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.message));
    // Without its last character the address leads there, too.
    await page.goto(`${url}/farlight`);
    const field = page.getByLabel('The token that the server');
    await field.fill('flt_wrong');
    await page.keyboard.press('Enter');
    await page.getByText('The server does not take this token.').waitFor();
    await field.fill(alice);
    await page.getByRole('button', { name: 'Show my requests' }).click();
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
    expect(await rowsOf(page, '#recent')).toMatchObject([{ Model: 'echo-INT32 1', Tenant: 'alice' }]);
    expect(await page.locator('#about').textContent()).toBe('farlight, requests of alice');
    for (const place of ['#lanes', '#queues', '#hosts', '#tenants', '#memory-charts', '#batch-chart']) {
      expect({ place, visible: await page.locator(place).isVisible() }).toEqual({ place, visible: false });
    }
    await ask(alice, 'echo-INT32');
    await page.locator('#recent tbody tr').nth(1).waitFor();
    expect(await page.locator('body').textContent()).not.toMatch(/bob|gpu:7070/);
    // The tab keeps the token.
    await page.reload();
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
    expect(errors).toEqual([]);
  });

  it("a tenant's figures need the token, and the page's files need none and tell nothing", async () => {
    const { url, bob, ask } = await serveTenants();
    await ask(bob, 'echo-FP16');
    const get = (path: string, token?: string) =>
      fetch(`${url}${path}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
    expect((await get('/v2/farlight')).status).toBe(401);
    expect((await get('/v2/farlight/events')).status).toBe(401);
    const own = (await (await get('/v2/farlight', bob)).json()) as Record<string, unknown>;
    expect(own).toMatchObject({ tenant: 'bob', totals: { requests: 1, failed: 1 } });
    expect(own).not.toHaveProperty('all');
    const file = await get('/farlight/main.js');
    expect(file.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';/);
    expect((await get('/farlight/nothing.js', bob)).status).toBe(404);
  });

  it("a server without tokens has no tenants' page: its owner has the dashboard", async () => {
    const { server } = await serve();
    expect((await fetch(`${server.httpUrl}/farlight/`)).status).toBe(404);
    const own = await fetch(`${server.httpUrl}/v2/farlight`);
    expect(await own.json()).toMatchObject({ tenant: 'default', totals: { requests: 0 } });
  });
});
