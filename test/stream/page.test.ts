import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { inferenceTrust } from '#farlight/infer/door/trust.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { Front } from '#farlight/stream/front/front.js';
import { openDashboard } from '#farlight/stream/page/dashboard.js';
import type { ApplicationStatus } from '#farlight/stream/run/status.js';
import { Metrics } from '#farlight/stream/statistics/figures.js';
import { expectAccessible } from '../support/pages/accessibility.js';
import { openChromium } from '../support/pages/chromium.js';
import { folders } from '../support/trust/trust.js';
import { ObservedApplication } from './support/observed.js';

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

async function serve() {
  const application = new ObservedApplication(true);
  const { observatory } = application;
  const page = openDashboard({
    address: '127.0.0.1:0',
    observatory,
    metrics: new Metrics(observatory),
    mayLook: async () => true,
    onError: () => {},
  });
  ends.push(() => page.close());
  await page.listen();
  return { application, url: page.url };
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

/** The texts of the cells of a table. */
async function rowsOf(page: Page, place: string): Promise<string[][]> {
  const rows = await page.locator(`${place} tbody tr`).all();
  return Promise.all(rows.map((row) => row.locator('th, td').allTextContents()));
}

/** Two workers, and a partition that waits for one. */
function sharedWork(): ApplicationStatus['workers'] {
  const [here, there] = ['worker-here-1', 'worker-there-2'];
  return {
    workers: [
      { id: here, partitions: [0, 2], passing: 5, silent: 40 },
      { id: there, partitions: [1], passing: 1, silent: 180 },
    ],
    partitions: [
      { partition: 0, worker: here, epoch: 4, passing: 2, waiting: 0, upgrade: 'prepared' },
      { partition: 1, worker: there, epoch: 3, passing: 1, waiting: 1200, upgrade: 'compiling' },
      { partition: 2, worker: here, epoch: 3, passing: 3, waiting: 3, upgrade: 'passing' },
      { partition: 3, worker: '', epoch: 0, passing: 0, waiting: 9 },
    ],
  };
}

describe('the page of a stream application', { timeout: 90_000 }, () => {
  it('shows the graph, and which steps an upgrade changes while it is under way', async () => {
    const { application, url } = await serve();
    for (const key of ['a', 'b', 'c']) application.pass(key, { run: 1 });
    const page = await open(url);
    expect(await page.locator('#graph .node').count()).toBe(4);
    expect(await page.locator('#graph path').count()).toBe(3);
    expect((await rowsOf(page, '#outputs')).map(([, key, , values]) => [key, values])).toEqual([
      ['c', '{"y":2}'],
      ['b', '{"y":1}'],
    ]);
    const [source] = await rowsOf(page, '#sources');
    expect([source?.slice(0, 2), source?.slice(-2)]).toEqual([
      ['sound', '3'],
      ['2', 'the mount is away'],
    ]);
    expect(await page.locator('#graph .source .figures').textContent()).toContain('fails');
    expect(await page.locator('#upgrade').isVisible()).toBe(false);
    application.upgrade();
    await page.getByText('An upgrade to version v2 is under way: detect (changed), smooth (added)').waitFor();
    expect(await page.locator('#graph .node.changed').first().textContent()).toContain(
      'detect changed, state kept',
    );
    expect(await page.locator('#graph .node.added').textContent()).toContain('smooth added');
    expect(await page.locator('#graph path').count()).toBe(4);
    application.ended();
    await page.locator('#upgrades tbody tr').waitFor();
    expect((await rowsOf(page, '#upgrades'))[0]).toMatchObject({
      0: 'v2',
      3: '~ detect, + smooth, ~ out',
      4: 'runs since epoch 4',
    });
    expect(await page.locator('#graph .changed').count()).toBe(0);
    await expect.poll(() => page.locator('#batch-said').textContent()).toContain('largest at most 4');
    expect(logged).toEqual([]);
  });

  it('shows the workers and the partitions of an application whose work is shared', async () => {
    const { application, url } = await serve();
    const page = await open(url);
    expect(await page.locator('#workers-section').isVisible()).toBe(false);
    application.workers = sharedWork();
    await page.locator('#workers-section').waitFor();
    expect(await rowsOf(page, '#workers')).toEqual([
      ['worker-here-1', '0, 2', '0/s', '5', '40 ms'],
      ['worker-there-2', '1', '0/s', '1', '180 ms'],
    ]);
    expect(
      (await rowsOf(page, '#partitions')).map(({ 0: partition, 1: worker, 3: waiting, 7: upgrade }) => [
        partition,
        worker,
        waiting,
        upgrade,
      ]),
    ).toEqual([
      ['0', 'worker-here-1', '0', 'prepared'],
      ['1', 'worker-there-2', '1,200', 'compiling'],
      ['2', 'worker-here-1', '3', 'passing'],
      ['3', 'none', '9', '-'],
    ]);
    expect(await page.locator('#now').textContent()).toContain('run 3 of 4 partitions');
    expect(logged).toEqual([]);
  });

  it('passes axe: light, dark, on a screen and on a phone', async () => {
    const { application, url } = await serve();
    application.workers = sharedWork();
    for (const key of ['a', 'b', 'c']) application.pass(key, { run: 1 });
    application.upgrade();
    application.ended('the disk is full');
    application.upgrade();
    application.observatory.posted.add({ tenant: 'alice', source: 'sound' }, { records: 3 });
    const page = await open(url);
    await expectAccessible(page);
  });

  it('shows a tenant the records that it has posted, once it has its token', async () => {
    const { observatory } = new ObservedApplication(true);
    const trustFolder = temporary.make();
    const trust = inferenceTrust(
      { http: '127.0.0.1:0', grpc: undefined, behindProxy: 'gpu.example:443', trustFolder },
      () => {},
    );
    const { token } = new TokenStore(join(trustFolder, 'tokens')).add({ tenant: 'alice' });
    const front = new Front({
      trust,
      observatory,
      metrics: new Metrics(observatory),
      posted: () => undefined,
      limit: 1000,
      log: () => {},
    });
    ends.push(() => front.close(0));
    await front.listen();
    const url = `http://127.0.0.1:${new URL(front.url).port}`;
    observatory.posted.add({ tenant: 'alice', source: 'sound' }, { records: 3 });
    observatory.posted.add({ tenant: 'bob', source: 'sound' }, { records: 5 });
    expect((await fetch(`${url}/v1/status`)).status).toBe(401);
    const page = await browser.newPage();
    await page.goto(`${url}/farlight`);
    await page.getByLabel('The token that the application').fill(token);
    await page.getByRole('button', { name: 'Show my records' }).click();
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
    expect((await rowsOf(page, '#posted')).map((row) => row.slice(0, 3))).toEqual([['alice', 'sound', '3']]);
    expect(await page.locator('#about').textContent()).toBe('voices, records of alice');
    for (const place of ['#graph', '#steps', '#sinks', '#upgrades', '#rates-chart'])
      expect({ place, visible: await page.locator(place).isVisible() }).toEqual({ place, visible: false });
  });
});
