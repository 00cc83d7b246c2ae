import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { until } from '../support/machine/processes.js';
import { openChromium } from '../support/pages/chromium.js';
import { runInPage, Site, tlsProxy, webAddress } from '../support/pages/pages.js';
import { makePair } from '../support/trust/trust.js';

let browser: Browser;
let site: Site;
const ending: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  [browser, site] = await Promise.all([
    openChromium({ args: ['--ignore-certificate-errors'] }),
    Site.start(),
  ]);
});

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

afterAll(async () => {
  await browser.close();
  await site.close();
});

async function start(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    dashboard: '127.0.0.1:0',
    allowOrigins: [site.url],
    ...options,
  });
  ending.push(() => daemon.close());
  return daemon;
}

async function open(url = site.url): Promise<Page> {
  const page = await browser.newPage();
  ending.push(() => page.close());
  await page.goto(url);
  return page;
}

const counted = (times: number) => Array.from({ length: times }, (_, at) => [at + 1, at + 1]);

describe('a session from a page', () => {
  it('a page computes on the host, over a WebSocket', async () => {
    const daemon = await start();
    const page = await open();
    expect(await runInPage(page, 'count', { host: webAddress(daemon) }, 3)).toEqual(counted(3));
    expect(daemon.counters.sessionsOpened).toBe(1);
    await until(() => daemon.counters.sessionsActive === 0);
  });

  it('a worker of a page computes on the host, too', async () => {
    const daemon = await start();
    const page = await open();
    expect(await runInPage(page, 'worker', 'count', { host: webAddress(daemon) }, 3)).toEqual(counted(3));
  });

  it('a session resumes over another WebSocket after each cut, and executes nothing twice', async () => {
    const { log, of } = memoryLog();
    const daemon = await start({ log });
    const proxy = await CuttingProxy.start(webAddress(daemon));
    ending.push(() => proxy.close());
    const page = await open();
    const [times, cuts] = [60, 4];
    // Each step reads 4 KiB back.
    const cutAgain = () => {
      if (proxy.cuts < cuts) proxy.cutAfter((times * 4096) / (cuts + 2));
    };
    proxy.onCut = cutAgain;
    cutAgain();
    const host = proxy.url.replace('grpc:', 'ws:');
    expect(await runInPage(page, 'count', { host }, times)).toEqual(counted(times));
    expect(daemon.counters.sessionsOpened).toBe(1);
    expect(proxy.cuts).toBe(cuts);
    expect(of('session resumed').length).toBeGreaterThanOrEqual(cuts);
  });

  it('a session carries more than the window both ways, unchanged', async () => {
    const daemon = await start();
    const page = await open();
    const size = 40 << 20;
    expect(await runInPage(page, 'transfer', webAddress(daemon), size)).toMatchObject({ same: true });
  });

  it('a session ends when its page is left', async () => {
    const { log, of } = memoryLog();
    const daemon = await start({ log });
    const page = await open();
    await runInPage(page, 'stay', webAddress(daemon));
    expect(daemon.counters.sessionsActive).toBe(1);
    await page.goto('about:blank');
    await until(() => daemon.counters.sessionsActive === 0);
    expect(of('session ended')).toMatchObject([{ code: 'CLOSED' }]);
  });

  it('a page learns why its host stopped', async () => {
    const daemon = await start();
    const page = await open();
    await runInPage(page, 'stay', webAddress(daemon));
    await daemon.close();
    const lost = await page.evaluate('device.lost.then(({ reason, message }) => ({ reason, message }))');
    expect(lost).toEqual({
      reason: 'unknown',
      message: expect.stringMatching(/is stopping; start the program again/),
    });
  });

  it('a page gets another session from a restarted host by asking for an adapter', async () => {
    const daemon = await start({ adapter: 'null' });
    const page = await open();
    const address = webAddress(daemon);
    await runInPage(page, 'stay', address);
    await daemon.close();
    const ask = `device.lost.then(() => gpu.requestAdapter()).then((adapter) => adapter.info.device, ({ code }) => code)`;
    expect(await page.evaluate(ask)).toBe('UNREACHABLE');
    const second = await start({ adapter: 'null', dashboard: new URL(address).host });
    expect(await page.evaluate(ask)).toBe('null-backend');
    expect(second.counters.sessionsOpened).toBe(1);
  });
});

describe('a page that may not use the host', () => {
  it('rejects a page of an origin that is not allowed, with advice', async () => {
    const daemon = await start();
    const foreign = await Site.start();
    ending.push(() => foreign.close());
    const page = await open(foreign.url);
    expect(await runInPage(page, 'install', webAddress(daemon))).toEqual({
      code: 'UNREACHABLE',
      message: expect.stringContaining(`have it started with: farlight serve --allow-origin ${foreign.url}`),
      untouched: true,
    });
    expect(daemon.counters.sessionsOpened + daemon.counters.sessionsRefused).toBe(0);
  });

  it('rejects a page without a valid token over TLS, and accepts one with a valid token', async () => {
    const hosts = secureHosts();
    ending.push(() => hosts.close());
    const { daemon, invite } = await hosts.start({
      adapter: 'null',
      executorEntry: undefined,
      dashboard: '127.0.0.1:0',
      allowOrigins: [site.url],
    });
    const proxy = await tlsProxy(Number(new URL(webAddress(daemon)).port), makePair());
    ending.push(() => proxy.close());
    const page = await open();
    const reached = (token: string) => runInPage(page, 'install', `wss://${token}127.0.0.1:${proxy.port}`);
    expect(await reached('')).toEqual({
      untouched: true,
      code: 'UNAUTHORIZED',
      message:
        'the host asks for a token; get one from its owner (farlight token add) and write grpcs://TOKEN@HOST:PORT, in a page wss://TOKEN@HOST:PORT',
    });
    expect(await reached(`flt_${'a'.repeat(43)}@`)).toEqual({
      untouched: true,
      code: 'UNAUTHORIZED',
      message: 'the host does not know this token; ask its owner for another (farlight token add)',
    });
    expect(daemon.counters.sessionsOpened).toBe(0);
    expect(await reached(`${invite().token}@`)).toEqual({ installed: true });
    expect(daemon.counters.sessionsOpened).toBe(1);
  });
});
