import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { type Browser, chromium, type LaunchOptions } from 'playwright-core';
import { cacheFolder } from '#farlight/link/machine/folders.js';
import { readTar } from '#farlight/server/gpu/tar.js';

/** It is to open pages of ours and nothing else: no window, no GPU, no questions to its maker. */
const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * A headless Chromium with a profile of its own, empty, which goes with it: the one that npm package
 * `@sparticuz/chromium` has, so that nothing is to be installed on the machine. To be closed by the caller.
 *
 * It has no WebGPU: `navigator.gpu` is undefined there.
 */
export async function openChromium({ args = [], ...options }: LaunchOptions = {}): Promise<Browser> {
  const folder = chromiumFolder();
  const libraries = [join(folder, 'lib'), process.env.LD_LIBRARY_PATH].filter(Boolean).join(':');
  return chromium.launch({
    executablePath: join(folder, 'chromium'),
    // Its sandbox does not work for root, which runs tests in containers; the pages are ours.
    chromiumSandbox: false,
    headless: true,
    args: [...FLAGS, ...args],
    env: {
      ...process.env,
      LD_LIBRARY_PATH: libraries,
      FONTCONFIG_FILE: join(folder, 'fonts.conf'),
      LC_ALL: 'en_US.UTF-8',
    },
    ...options,
  });
}

/** Where Chromium lies, with the libraries and fonts that a bare machine lacks; unpacked on first use. */
function chromiumFolder(): string {
  const root = dirname(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')));
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const folder = join(cacheFolder(), `chromium-${version}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cacheFolder(), { recursive: true });
  const temporary = mkdtempSync(`${folder}.`);
  try {
    const packed = (name: string) => brotliDecompressSync(readFileSync(join(root, 'bin', name)));
    writeFileSync(join(temporary, 'chromium'), packed('chromium.br'), { mode: 0o755 });
    for (const archive of ['al2023.tar.br', 'fonts.tar.br']) {
      for (const { name, bytes } of readTar(packed(archive))) {
        mkdirSync(dirname(join(temporary, name)), { recursive: true });
        writeFileSync(join(temporary, name), bytes);
      }
    }
    writeFileSync(join(temporary, 'fonts.conf'), fontsConfiguration(folder));
    // Another process may have been first.
    if (!existsSync(folder)) renameSync(temporary, folder);
  } catch (error) {
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}

/** The machine's own fonts, and those that came along. */
function fontsConfiguration(folder: string): string {
  return `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include ignore_missing="yes">/etc/fonts/fonts.conf</include>
  <dir>${join(folder, 'fonts')}</dir>
  <cachedir>${join(folder, 'fonts-cache')}</cachedir>
</fontconfig>
`;
}
