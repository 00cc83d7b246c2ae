import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { softwareGpuFolder } from '#farlight/server/gpu/software-gpu.js';
import { probeAdapter } from '#farlight/server/probe-adapter.js';

const FILES = ['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json'];
const MODULE = new URL('../../dist/server/gpu/software-gpu.js', import.meta.url).href;

describe('the embedded software GPU', () => {
  const before = process.env.XDG_CACHE_HOME;
  let cache: string;

  beforeEach(() => {
    cache = mkdtempSync(join(tmpdir(), 'farlight-cache-'));
    process.env.XDG_CACHE_HOME = cache;
  });

  afterEach(() => {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(cache, { recursive: true, force: true });
  });

  it('is unpacked into the cache folder, as the three files that it needs', () => {
    const folder = softwareGpuFolder();
    expect(folder.startsWith(join(cache, 'farlight', 'swiftshader-'))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(FILES);
    expect(readdirSync(join(cache, 'farlight'))).toHaveLength(1);
  });

  it('is unpacked once', () => {
    const inode = () => statSync(join(softwareGpuFolder(), 'libvulkan.so.1')).ino;
    expect(inode()).toBe(inode());
  });

  it('is repaired where a file was lost', () => {
    const folder = softwareGpuFolder();
    rmSync(join(folder, 'libvk_swiftshader.so'));
    expect(readdirSync(softwareGpuFolder()).sort()).toEqual(FILES);
    expect(readdirSync(join(cache, 'farlight'))).toHaveLength(1);
  });

  it('is repaired before it is loaded where a file differs, even with the same length', async () => {
    const good = readFileSync(join(softwareGpuFolder(), 'libvk_swiftshader.so'));
    for (const file of FILES) {
      const path = join(softwareGpuFolder(), file);
      const other = readFileSync(path);
      other[other.length >> 1] = (other[other.length >> 1] as number) ^ 1;
      writeFileSync(path, other);
      expect(readFileSync(join(softwareGpuFolder(), file)).equals(other)).toBe(false);
    }
    expect(readFileSync(join(softwareGpuFolder(), 'libvk_swiftshader.so')).equals(good)).toBe(true);
    expect(readdirSync(join(cache, 'farlight'))).toHaveLength(1);
    // Loading this file would end the process.
    writeFileSync(join(softwareGpuFolder(), 'libvk_swiftshader.so'), 'no library');
    expect((await probeAdapter('software')).adapter.name).toMatch(/^SwiftShader/);
  });

  it('is complete for several processes that unpack it at once', async () => {
    const script = `const { softwareGpuFolder } = await import(${JSON.stringify(MODULE)});
      const { statSync } = await import('node:fs');
      console.log(statSync(softwareGpuFolder() + '/libvk_swiftshader.so').size);`;
    const sizes = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const child = spawn(process.execPath, ['--input-type=module', '-e', script]);
        let output = '';
        child.stdout.on('data', (text) => {
          output += text;
        });
        await new Promise((resolve) => child.on('close', resolve));
        return Number(output);
      }),
    );
    expect(new Set(sizes).size).toBe(1);
    expect(sizes[0]).toBeGreaterThan(1_000_000);
    expect(readdirSync(join(cache, 'farlight'))).toHaveLength(1);
  });

  it('says what to do where the cache cannot be written', () => {
    const file = join(cache, 'file');
    writeFileSync(file, '');
    chmodSync(file, 0o400);
    process.env.XDG_CACHE_HOME = file;
    expect(() => softwareGpuFolder()).toThrow(/set XDG_CACHE_HOME to a folder that can be written/);
  });
});
