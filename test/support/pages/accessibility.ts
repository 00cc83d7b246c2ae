import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { expect } from 'vitest';

/** Expects that axe finds nothing on a page: light, dark, on a screen and on a phone. */
export async function expectAccessible(page: Page): Promise<void> {
  await page.evaluate(readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'));
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 800 });
      const found = await page.evaluate<{ nodes: { failureSummary: string; html: string }[] }[]>(
        'axe.run().then(({ violations }) => violations)',
      );
      const summaries = found.flatMap(({ nodes }) => nodes.map((node) => node.failureSummary + node.html));
      expect({ colorScheme, width, summaries }).toEqual({ colorScheme, width, summaries: [] });
      // Nothing may be wider than the screen, or people must scroll sideways.
      // The charts take their new width in a frame of their own.
      await expect
        .poll(() => page.evaluate('document.documentElement.scrollWidth'))
        .toBeLessThanOrEqual(width);
    }
  }
}
