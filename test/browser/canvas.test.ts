import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { openChromium } from '../support/chromium.js';
import { runInPage, Site, webAddress } from '../support/pages.js';

let browser: Browser;
let site: Site;
let daemon: Daemon;
let page: Page;

beforeAll(async () => {
  [browser, site] = await Promise.all([openChromium(), Site.start()]);
  daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    adapter: 'software',
    dashboard: '127.0.0.1:0',
    allowOrigins: [site.url],
  });
  page = await browser.newPage();
  await page.goto(site.url);
});

afterAll(async () => {
  await browser.close();
  await Promise.all([daemon.close(), site.close()]);
});

interface CanvasReport {
  colors: Record<string, number[]>;
  errors: string[];
  classes: boolean[];
  same: boolean;
  framed: boolean;
  other: unknown[];
  unconfigured: string;
  configurations: unknown[];
  wrong: string[];
  oneATask: boolean;
  early: string;
  resized: [boolean, number, number];
  offscreen: number[];
  next: boolean;
  taken: unknown;
  plainStays: boolean;
}

describe('a canvas of a page', () => {
  let report: CanvasReport;
  beforeAll(async () => {
    report = await runInPage(page, 'canvas', webAddress(daemon));
  });

  it('shows what the host drew, in each format, opaque or multiplied by alpha', () => {
    // 0.4 and 0.2 of full color, of which 0.4 is covered.
    const [opaque, premultiplied] = [
      [102, 51, 0, 255],
      [255, 128, 0, 102],
    ];
    expect(Object.keys(report.colors)).toHaveLength(6);
    for (const [name, color] of Object.entries(report.colors)) {
      const expected = name.endsWith('opaque') ? opaque : premultiplied;
      // A canvas keeps colors multiplied by alpha: what is read of it is off by as much as that rounds.
      for (const [at, value] of color.entries()) expect(value).toBeCloseTo(expected[at] as number, -0.6);
    }
  });

  it('that is no element shows it too', () => expect(report.offscreen).toEqual([0, 0, 255, 255]));

  it('has one context, of this class, and no other beside it', () => {
    expect(report.classes).toEqual([true, true]);
    expect(report.same).toBe(true);
    expect(report.other).toEqual([null, null]);
    expect(report.taken).toBe(null);
    expect(report.plainStays).toBe(true);
  });

  it('may be of an iframe', () => expect(report.framed).toBe(true));

  it('takes the configurations of the specification, and says which it has', () => {
    expect(report.unconfigured).toBe('InvalidStateError');
    expect(report.wrong).toEqual(['TypeError', 'TypeError']);
    expect(report.configurations).toEqual([
      null,
      {
        format: 'rgba8unorm',
        usage: 16,
        viewFormats: [],
        colorSpace: 'srgb',
        toneMapping: { mode: 'standard' },
        alphaMode: 'opaque',
      },
    ]);
  });

  it('has one texture a task, and another when its size changes', () => {
    expect(report.oneATask).toBe(true);
    expect(report.resized).toEqual([true, 8, 4]);
    expect(report.next).toBe(true);
  });

  it('that is no element says that it cannot be read in the task in which it is drawn to', () =>
    expect(report.early).toMatch(/^InvalidStateError: A remote GPU cannot be read at once\. Await the data/));

  it('raises no error of the device', () => expect(report.errors).toEqual([]));
});

describe('copyExternalImageToTexture in a page', () => {
  let rows: Record<string, number[][]>;
  const expected = [0, 1].map((row) =>
    [0, 1, 2].flatMap((column) => {
      const at = 3 * row + column;
      return [40 * at, 255 - 40 * at, 10 * at, 255];
    }),
  );

  beforeAll(async () => {
    rows = await runInPage(page, 'images', webAddress(daemon));
  });

  it.each([
    'HTMLCanvasElement',
    'OffscreenCanvas',
    'HTMLImageElement',
    'ImageBitmap',
    'ImageData',
    "an iframe's HTMLCanvasElement",
    "an iframe's ImageData",
  ])('takes %s, pixel by pixel', (source) => expect(rows[source]).toEqual(expected));

  it.each(['VideoFrame', 'HTMLVideoElement'])(
    'takes %s, whose colors may be coded more coarsely',
    (source) => {
      const texels = rows[source]?.flat() ?? [];
      expect(texels).toHaveLength(expected.flat().length);
      for (const [at, value] of expected.flat().entries()) {
        expect(Math.abs((texels[at] as number) - value)).toBeLessThan(64);
      }
    },
  );

  it('turns an image over where it is to', () => expect(rows.flipped).toEqual(expected.toReversed()));

  it('refuses what is no image', () =>
    expect(rows.refused).toMatch(/^TypeError: .*'a text' is not an image/));
});
