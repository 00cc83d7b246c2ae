import { describe, expect, it } from 'vitest';
import { openChromium } from '../support/pages/chromium.js';

describe('the browser that tests open', () => {
  it('runs pages, with fonts, and exits when it is closed', async () => {
    const browser = await openChromium();
    const page = await browser.newPage();
    await page.setContent(
      '<span style="font: 20px Open Sans">iiii</span> <b style="font: 20px Open Sans">mmmm</b>',
    );
    const [narrow, wide] = await Promise.all(['span', 'b'].map((tag) => page.locator(tag).boundingBox()));
    expect(narrow?.width).toBeGreaterThan(10);
    expect(wide?.width).toBeGreaterThan(2 * (narrow?.width ?? 0));
    await browser.close();
    expect(browser.isConnected()).toBe(false);
  });
});
