import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { openChromium } from '../support/pages/chromium.js';
import { runInPage, Site, webAddress } from '../support/pages/pages.js';

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

  it('a canvas shows the frames of the host, in each format, opaque or multiplied by alpha', () => {
    // 0.4 and 0.2 of full color, with a coverage of 0.4.
    const [opaque, premultiplied] = [
      [102, 51, 0, 255],
      [255, 128, 0, 102],
    ];
    expect(Object.keys(report.colors)).toHaveLength(6);
    for (const [name, color] of Object.entries(report.colors)) {
      const expected = name.endsWith('opaque') ? opaque : premultiplied;
      // A canvas keeps colors multiplied by alpha, so that reading them is off by rounding.
      for (const [at, value] of color.entries()) expect(value).toBeCloseTo(expected[at] as number, -0.6);
    }
  });

  it('an offscreen canvas shows frames, too', () => expect(report.offscreen).toEqual([0, 0, 255, 255]));

  it('a canvas has one context of this class, and no other', () => {
    expect(report.classes).toEqual([true, true]);
    expect(report.same).toBe(true);
    expect(report.other).toEqual([null, null]);
    expect(report.taken).toBe(null);
    expect(report.plainStays).toBe(true);
  });

  it('a canvas may belong to an iframe', () => expect(report.framed).toBe(true));

  it('a canvas context accepts the configurations of the specification, and returns its own', () => {
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

  it('a canvas has one texture in each task, and another when its size changes', () => {
    expect(report.oneATask).toBe(true);
    expect(report.resized).toEqual([true, 8, 4]);
    expect(report.next).toBe(true);
  });

  it('an offscreen canvas throws if it is read in the task that draws to it', () =>
    expect(report.early).toMatch(/^InvalidStateError: A remote GPU cannot be read at once\. Await the data/));

  it('drawing to canvases raises no device errors', () => expect(report.errors).toEqual([]));
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
  ])('copies %s, pixel by pixel', (source) => expect(rows[source]).toEqual(expected));

  it.each(['VideoFrame', 'HTMLVideoElement'])('copies %s, whose colors may be coarser', (source) => {
    const texels = rows[source]?.flat() ?? [];
    expect(texels).toHaveLength(expected.flat().length);
    for (const [at, value] of expected.flat().entries()) {
      expect(Math.abs((texels[at] as number) - value)).toBeLessThan(64);
    }
  });

  it('flips an image if asked to', () => expect(rows.flipped).toEqual(expected.toReversed()));

  it('rejects values that are no image', () =>
    expect(rows.refused).toMatch(/^TypeError: .*'a text' is not an image/));
});
