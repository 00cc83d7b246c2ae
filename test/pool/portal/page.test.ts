import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectAccessible } from '../../support/pages/accessibility.js';
import { openChromium } from '../../support/pages/chromium.js';
import { PoolFolder } from '../../support/pools/pool-folder.js';
import { book, PortalProcess, past } from '../../support/pools/portal-process.js';

const MARKUP = '<img src=x onerror="window.ran=1">';

let browser: Browser;
let pool: PoolFolder;
let portal: PortalProcess;
const tokens = { alice: '', bob: '' };

beforeAll(async () => {
  pool = new PoolFolder('engine: local\nsessions: 1\nfiles: { mount: /shared }\ngpu: { adapter: "null" }');
  portal = await PortalProcess.start(pool, '--listen', 'https://127.0.0.1:0', '--owner', 'alice');
  for (const tenant of ['alice', 'bob'] as const) tokens[tenant] = pool.addToken(tenant);
  browser = await openChromium();
}, 120_000);
afterAll(async () => {
  await browser?.close();
  await portal?.kill();
  await pool?.close();
}, 60_000);

/** The page's log, which shows most of all what its policy has blocked. */
const logged: string[] = [];

async function open(token: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
  const page = await browser.newPage({ ...options, ignoreHTTPSErrors: true });
  logged.length = 0;
  page.on('console', (message) => logged.push(message.text()));
  page.on('pageerror', (error) => logged.push(error.message));
  page.on('dialog', (dialog) => void dialog.accept());
  await page.goto(portal.url);
  await page.getByLabel('Token').fill(token);
  await page.keyboard.press('Enter');
  return page;
}

const live = (page: Page) => page.getByRole('status').getByText('live', { exact: true }).waitFor();

/** The texts of a table's rows, without those of buttons. */
const rowsOf = async (page: Page, place: string) =>
  page.evaluate<string[][]>(
    `[...document.querySelectorAll('${place} tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))`,
  );

describe('the page of a portal', { timeout: 120_000 }, () => {
  it('refuses a token that the portal does not know, and shows nothing', async () => {
    const page = await open(`flt_${'x'.repeat(43)}`);
    await page.getByText('the host does not know this token').waitFor();
    expect(await page.locator('#signed-in').isVisible()).toBe(false);
    await page.close();
  });

  it('books a host, shows its log, its address and its cost, and releases it, with the keyboard alone', async () => {
    const page = await open(tokens.alice);
    await live(page);
    await page.getByRole('button', { name: 'Book a host' }).focus();
    await page.keyboard.press('Enter');
    await page.getByText(/A host of test is booked/).waitFor();
    await expect.poll(async () => (await rowsOf(page, '#bookings'))[0]?.[3]).toBe('ready');
    expect(await rowsOf(page, '#pools')).toMatchObject([
      ['test', 'local', '1 of 1, 0 with a session', '0', '/shared', '1 min 0 s', 'it answers'],
    ]);
    expect((await rowsOf(page, '#hosts'))[0]?.slice(0, 2)).toEqual(['test 1, term 1', 'ready']);

    await page.getByRole('button', { name: /^Log of the host of a person/ }).focus();
    await page.keyboard.press('Enter');
    await page.getByText(/farlight pool host: \{"term":1,"ready"/).waitFor();
    await page.getByRole('button', { name: 'Close' }).focus();
    await page.keyboard.press('Enter');
    expect(await page.locator('#panel').isVisible()).toBe(false);

    await page.getByRole('button', { name: /^Address of the host/ }).click();
    await page.getByText(/^grpcs:\/\/flt_/).waitFor();
    const address = (await page.locator('#panel-text').textContent()) ?? '';
    // The address is that of a host, which a program can use.
    expect(await pool.program(address).tell('compute')).toBe('0 0 0 0');
    await page.getByText('1 of 1, 1 with a session').waitFor();

    // Another tenant's program waits, and its name is no markup.
    const client = portal.client(tokens.bob);
    const waiting = await book(client, 'test', { program: MARKUP, seconds: 60 });
    await page.getByText('the only host is in use by another tenant').waitFor();
    expect((await rowsOf(page, '#bookings'))[1]?.slice(0, 4)).toEqual([MARKUP, 'test', 'bob', 'waiting']);
    await page.getByRole('button', { name: 'Release the booking of a person at the page' }).focus();
    await page.keyboard.press('Enter');
    expect(await past(client, waiting)).toMatchObject({ phase: 'ready' });
    const ended = async () => (await rowsOf(page, '#ends'))[0]?.slice(0, 3);
    await expect.poll(ended).toEqual(['a person at the page', 'test', 'alice']);
    expect((await rowsOf(page, '#costs')).map(([tenant]) => tenant)).toEqual(['alice', 'bob']);
    client.close();
    expect(await page.locator('main img, main script').count()).toBe(0);
    expect(await page.evaluate('window.ran')).toBeUndefined();
    // The first question is asked without a token.
    expect(logged.filter((text) => !text.includes('401'))).toEqual([]);
    await page.close();
  });

  it('shows a tenant its own bookings alone', async () => {
    const client = portal.client(tokens.alice);
    const { id } = await book(client, 'test', { program: 'alices.mjs', seconds: 60 });
    const page = await open(tokens.bob);
    await live(page);
    await expect
      .poll(async () => (await rowsOf(page, '#bookings')).map(([program]) => program))
      .toEqual([MARKUP]);
    expect(await page.locator('body').textContent()).not.toContain('alice');
    await client.ask('DELETE', `/v1/bookings/${id}`);
    client.close();
    await page.close();
  });

  it('passes axe: light, dark, on a screen and on a phone, with a panel open', async () => {
    const page = await open(tokens.alice);
    await live(page);
    await page
      .getByRole('button', { name: /^Log of the host/ })
      .first()
      .click();
    await expectAccessible(page);
    await page.close();
  });
});
