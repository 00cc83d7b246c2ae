import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Stats } from '#farlight/client/session/stats.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import type { HostView } from '#farlight/server/observatory/host-view.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';
import { expectAccessible } from '../support/pages/accessibility.js';
import { openChromium } from '../support/pages/chromium.js';
import { StepPrograms } from '../support/programs/step-programs.js';

let browser: Browser;
let host: ServeProcess;
let programs: StepPrograms;

beforeAll(async () => {
  browser = await openChromium();
});
afterAll(() => browser.close());
beforeEach(async () => {
  host = await ServeProcess.start();
  programs = new StepPrograms();
});
afterEach(async () => {
  await programs.clear();
  for (const context of browser.contexts()) await context.close();
  host.child.kill();
  await host.ended;
});

const dashboardOf = ({ stdout }: ServeProcess) => /dashboard: (\S+)/.exec(stdout)?.[1] ?? '';

/** The page's log, which shows most of all what its policy has blocked. */
const logged: string[] = [];

async function open(options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
  const page = await browser.newPage(options);
  logged.length = 0;
  page.on('console', (message) => logged.push(message.text()));
  page.on('pageerror', (error) => logged.push(error.message));
  await page.goto(dashboardOf(host));
  await page.getByRole('status').getByText('live', { exact: true }).waitFor();
  return page;
}

/** A table's rows by the text of their first cells: each cell's text by its column. */
async function rowsOf(page: Page, place: string): Promise<Map<string, Record<string, string>>> {
  const heads = await page.locator(`${place} thead th`).allTextContents();
  const rows = new Map<string, Record<string, string>>();
  for (const row of await page.locator(`${place} tbody tr`).all()) {
    const cells = await row.locator('th, td').allTextContents();
    rows.set(cells[0] ?? '', Object.fromEntries(heads.map((head, index) => [head, cells[index] ?? ''])));
  }
  return rows;
}

const viewOf = async (server: ServeProcess) =>
  (await (await fetch(`${dashboardOf(server)}/host.json`)).json()) as HostView;

/** The page's text for so many bytes. */
const bytesText = (page: Page, value: number) =>
  page.evaluate<string>(`import('/format.js').then(({ bytes }) => bytes(${value}))`);

describe('the page of a host', { timeout: 90_000 }, () => {
  it('shows three running programs with the figures that they counted themselves', async () => {
    const page = await open();
    const steps = { 'alpha.mjs': 3, 'beta.mjs': 7, 'gamma.mjs': 20 };
    const ledgers: [string, () => Stats][] = await Promise.all(
      Object.entries(steps).map(
        async ([name, count]) => [name, await programs.run(host.url, name, count)] as [string, () => Stats],
      ),
    );
    // The page shows it a little later.
    await vi.waitFor(async () => {
      const { sessions, totals } = await viewOf(host);
      const rows = await rowsOf(page, '#sessions');
      expect([...rows.keys()].sort()).toEqual(Object.keys(steps));
      for (const [name, newest] of ledgers) {
        const ledger = newest();
        const session = sessions.find(({ program }) => program === name);
        const count = steps[name as keyof typeof steps];
        expect(session).toMatchObject({
          tenant: 'default',
          adapter: 'null',
          work: {
            commands: ledger.commandsSent,
            asNames: ledger.sentAsNames,
            waits: ledger.waits,
            submits: count,
            gpuBytes: 2 * 65536,
          },
          traffic: { bytesUp: ledger.bytesUp, bytesDown: ledger.bytesDown },
        });
        expect(rows.get(name)).toMatchObject({
          Tenant: 'default',
          Adapter: 'null',
          'GPU memory': '128 KiB',
          'Waits per submit': (ledger.waits / count).toFixed(2),
          Up: await bytesText(page, ledger.bytesUp),
          Down: await bytesText(page, ledger.bytesDown),
        });
      }
      expect(totals.submits).toBe(30);
      expect(await page.locator('#now').textContent()).toContain('Sessions open3');
    }, 60_000);

    await programs.end();
    await page.locator('#ends tbody tr').nth(2).waitFor();
    const ends = await rowsOf(page, '#ends');
    expect([...ends.keys()].sort()).toEqual(Object.keys(steps));
    expect(ends.get('beta.mjs')).toMatchObject({ Reason: 'CLOSED', Why: 'the program closed its session' });
    expect(await page.locator('#sessions').textContent()).toContain('No session is open');
    expect(logged).toEqual([]);
  });

  it('draws the timeline of a chosen session, zooms with the keyboard, and stays after the session ends', async () => {
    const page = await open();
    // It may reject when the test ends the program. A program that fails before has no spans, which are awaited below.
    void programs.run(host.url, 'busy.mjs', 1, 20, 'forever').catch(() => {});
    await page.getByRole('button', { name: 'busy.mjs' }).click();
    const spans = async (track: string) => Number((await rowsOf(page, '#tracks')).get(track)?.Spans);
    for (const track of ['GPU', 'Program and line', 'Executor', 'Wire']) {
      await expect.poll(() => spans(track), { timeout: 60_000 }).toBeGreaterThan(5);
    }
    expect((await rowsOf(page, '#tracks')).get('Waits')?.Longest).toContain('GPUBuffer.mapAsync "result"');
    const painted = `(() => {
      const { width, height } = document.getElementById('timeline-canvas');
      const { data } = document.getElementById('timeline-canvas').getContext('2d').getImageData(0, 0, width, height);
      return new Set(new Uint32Array(data.buffer)).size;
    })()`;
    expect(await page.evaluate(painted)).toBeGreaterThan(10);

    const live = page.getByRole('button', { name: 'Live' });
    expect(await live.getAttribute('aria-pressed')).toBe('true');
    await page.locator('#timeline-canvas').focus();
    await page.keyboard.press('ArrowLeft');
    expect(await live.getAttribute('aria-pressed')).toBe('false');
    const before = await spans('Executor');
    for (let press = 0; press < 6; press += 1) await page.keyboard.press('+');
    expect(await spans('Executor')).toBeLessThan(before);
    await page.keyboard.press('Home');
    expect(await live.getAttribute('aria-pressed')).toBe('true');

    await programs.end();
    await page.getByText('The session has ended; its timeline stays.').waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    expect(await page.locator('#timeline').isVisible()).toBe(false);
    expect(logged).toEqual([]);
  });

  it('reconnects by itself when the host is back, and shows the new host', async () => {
    const dashboard = `127.0.0.1:${await freePort()}`;
    const before = host;
    host = await ServeProcess.start('--dashboard', dashboard);
    before.child.kill();
    await before.ended;
    const page = await open();
    await programs.run(host.url, 'before.mjs', 2);
    await page.getByRole('button', { name: 'before.mjs' }).waitFor();
    await Promise.allSettled([programs.end(), host.ended, host.child.kill()]);
    await page.getByRole('status').getByText('no answer, retrying').waitFor();

    host = await ServeProcess.start('--dashboard', dashboard);
    await page.getByRole('status').getByText('live', { exact: true }).waitFor();
    await programs.run(host.url, 'after.mjs', 2);
    await page.getByRole('button', { name: 'after.mjs' }).waitFor();
    expect([...(await rowsOf(page, '#sessions')).keys()]).toEqual(['after.mjs']);
    expect((await rowsOf(page, '#ends')).size).toBe(0);
  });

  it('never treats the name of a client as markup', async () => {
    const program = '<img src=x onerror="window.ran=1"><script>window.ran=1</script>';
    const page = await open();
    const client = new SessionClient(remoteHost(host.url), { ...HELLO, program });
    await client.welcome;
    const button = page.locator('#sessions button');
    await button.waitFor();
    expect(await button.textContent()).toBe(program);
    // The session may end while it is watched: a page that asks for an ended one gets a 404, and logs that.
    await Promise.all([page.waitForResponse(/watch/), button.click()]);
    expect(await page.locator('#timeline-heading').textContent()).toContain(program);
    client.link.close();
    await client.closed;
    await page.locator('#ends tbody tr').waitFor();
    expect(await page.locator('#ends tbody th').textContent()).toBe(program);
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.evaluate('window.ran')).toBeUndefined();
    expect(logged).toEqual([]);
  });

  it('passes axe: light, dark, on a screen and on a phone, with a timeline open', async () => {
    await programs.run(host.url, 'gone.mjs', 2);
    await programs.end();
    const page = await open();
    await programs.run(host.url, 'open.mjs', 5);
    await page.getByRole('button', { name: 'open.mjs' }).click();
    await page.locator('#ends tbody tr').waitFor();
    await expectAccessible(page);
  });
});
