import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { PNG } from 'pngjs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/machine/processes.js';
import { openChromium } from '../support/pages/chromium.js';
import { nodeThroughFarlight } from '../support/programs/program.js';
import { REPOSITORY } from '../support/repository.js';

/** A scene or a model takes long to compile on the software GPU. */
const MINUTES = 5 * 60_000;

let demo: ChildProcess;
let printed = '';
let browser: Browser;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'farlight-pages-'));
  // Started as a person starts it.
  demo = spawn(process.execPath, [join(REPOSITORY, 'examples/browser/demo.mjs'), '--port', '0']);
  for (const stream of [demo.stdout, demo.stderr]) {
    stream?.on('data', (text) => {
      printed += text;
    });
  }
  [browser] = await Promise.all([
    openChromium(),
    until(() => /^Open \S+ in a browser/m.test(printed) || demo.exitCode !== null),
  ]);
});

afterAll(async () => {
  await browser.close();
  const ended = new Promise((resolve) => demo.once('exit', resolve));
  demo.kill('SIGTERM');
  await ended;
  rmSync(folder, { recursive: true, force: true });
});

const said = (pattern: RegExp) => pattern.exec(printed)?.[1] ?? expect.fail(`the demo printed:\n${printed}`);

/** An example in a page, when it has finished. */
async function open(name: string, flags = ''): Promise<{ page: Page; example: Record<string, unknown> }> {
  const page = await browser.newPage();
  const url = new URL(said(/^Open (\S+) in a browser/m));
  await page.goto(`${url.origin}/${name}.html${url.search}${flags}`);
  const over = await page.waitForFunction('example?.error ?? example?.done', undefined, { timeout: MINUTES });
  expect(await over.jsonValue()).toBe(true);
  return { page, example: await page.evaluate('({ ...example, gpu: undefined, close: undefined })') };
}

/** The picture on the page's canvas, when it is not empty. */
async function shown(page: Page): Promise<PNG> {
  const read = `(() => {
    const canvas = document.querySelector('canvas');
    const context = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    context.drawImage(canvas, 0, 0);
    const { width, height, data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0) && { width, height, base64: btoa(data.reduce((text, value) => text + String.fromCharCode(value), '')) };
  })()`;
  const handle = await page.waitForFunction(read, undefined, { timeout: MINUTES, polling: 100 });
  const { width, height, base64 } = (await handle.jsonValue()) as PNG & { base64: string };
  const png = new PNG({ width, height });
  png.data = Buffer.from(base64, 'base64');
  return png;
}

/** The picture that a program in Node draws on the same host. */
async function drawnInNode(name: string, args: (file: string) => string[]): Promise<PNG> {
  const file = join(folder, name);
  await nodeThroughFarlight(said(/^ *farlight host ready: (\S+)/m), args(file));
  return PNG.sync.read(readFileSync(file));
}

/** The largest difference in a channel, and the number of different pixels. */
function difference(a: PNG, b: PNG): { most: number; pixels: number } {
  expect([a.width, a.height]).toEqual([b.width, b.height]);
  let [most, pixels] = [0, 0];
  for (let at = 0; at < a.data.length; at += 4) {
    const by = [0, 1, 2, 3].map((channel) =>
      Math.abs((a.data[at + channel] ?? 0) - (b.data[at + channel] ?? 0)),
    );
    most = Math.max(most, ...by);
    if (by.some((value) => value > 0)) pixels += 1;
  }
  return { most, pixels };
}

describe('in a browser that has no GPU', () => {
  it(
    'a page draws a triangle on the host with the same pixels as Node',
    async () => {
      const { page, example } = await open('triangle');
      expect(example.hadGpu).toBe(false);
      const inPage = await shown(page);
      const fromNode = await drawnInNode('triangle.png', (file) => ['test/e2e/programs/triangle.mjs', file]);
      expect(difference(inPage, fromNode)).toEqual({ most: 0, pixels: 0 });
      await page.close();
    },
    MINUTES,
  );

  it(
    'three.js in a page draws a scene on the host with the same pixels as Node',
    async () => {
      const { page, example } = await open('three');
      expect(example.hadGpu).toBe(false);
      const inPage = await shown(page);
      const fromNode = await drawnInNode('three.png', (file) => ['examples/three/three.mjs', '--out', file]);
      expect(difference(inPage, fromNode)).toEqual({ most: 0, pixels: 0 });
      await page.close();
    },
    MINUTES,
  );

  it(
    'TensorFlow.js in a page runs MoveNet on the host, agrees with its CPU backend, and shows the person',
    async () => {
      const { page, example } = await open('movenet', '&reference&runs=0');
      expect(example.hadGpu).toBe(false);
      expect(example.fromCpu).toBeLessThan(1e-3);
      const points = example.points as { name: string; x: number; y: number; score: number }[];
      const { width, data } = await shown(page);
      for (const { name, x, y, score } of points) {
        if (score < 0.5 || !name.startsWith('left')) continue;
        const at = 4 * (Math.round(y) * width + Math.round(x));
        expect([name, ...data.subarray(at, at + 3)]).toEqual([name, 64, 200, 255]);
      }
      expect(points.filter(({ score }) => score >= 0.5).length).toBeGreaterThan(4);
      await page.close();
    },
    MINUTES,
  );
});
