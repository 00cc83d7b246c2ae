import { spawn } from 'node:child_process';
import { readdirSync, watch } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hashContent } from '#farlight/link/machine/hashing.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { falseFiles, HOUR, temporaryFiles, temporaryFolders } from '../support/hosts/content-files.js';

const WRITER = fileURLToPath(new URL('../support/hosts/content-writer.mjs', import.meta.url));
const folders = temporaryFolders();
let folder: string;
beforeEach(() => {
  folder = folders.make();
});
afterEach(() => folders.remove());

interface Writing {
  maxBytes: number;
  seed: number;
  count: number;
  length: number;
  rounds: number;
}

function start({ maxBytes, seed, count, length, rounds }: Writing) {
  const args = [maxBytes, seed, count, length, rounds].map(String);
  const child = spawn(process.execPath, [WRITER, folder, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  /** The exit code of the process, or the signal that ended it. */
  const ended = new Promise<number | string | null>((resolve) => {
    child.on('close', (code, signal) => resolve(signal ?? code));
  });
  return { kill: () => child.kill('SIGKILL'), ended };
}

const write = (writing: Writing) => start(writing).ended;

/**
 * Kills two writers when the folder has changed so many times. A file appears, grows piece by piece, gets its date and is
 * renamed, so the number says how far the writers are.
 */
async function writeAndKill(writing: Writing, changes: number): Promise<(number | string | null)[]> {
  let seen = 0;
  const watcher = watch(folder, () => {
    seen += 1;
    if (seen === changes) for (const { kill } of writers) kill();
  });
  const writers = [start(writing), start(writing)];
  const results = await Promise.all(writers.map(({ ended }) => ended));
  watcher.close();
  return results;
}

const contentsOf = ({ seed, count, length }: Writing) =>
  Array.from({ length: count }, (_, at) => new Uint8Array(length).fill(seed + at));

describe('processes that share a folder', () => {
  it('can write the same contents at once', async () => {
    const writing = { maxBytes: 64 << 20, seed: 1, count: 5, length: 300_000, rounds: 20 };
    expect(await Promise.all(Array.from({ length: 4 }, () => write(writing)))).toEqual([0, 0, 0, 0]);
    expect([falseFiles(folder), temporaryFiles(folder)]).toEqual([[], []]);
    const store = new ContentStore({ folder, maxBytes: writing.maxBytes });
    for (const bytes of contentsOf(writing)) {
      expect(Buffer.compare(store.read(hashContent(bytes)) ?? new Uint8Array(0), bytes)).toBe(0);
    }
  }, 60_000);

  it('stay in its bound together', async () => {
    const writing = { maxBytes: 2 << 20, count: 60, length: 16_000, rounds: 2 };
    const codes = await Promise.all([1, 61, 121, 181].map((seed) => write({ ...writing, seed })));
    expect(codes).toEqual([0, 0, 0, 0]);
    expect(falseFiles(folder)).toEqual([]);
    const { bytes, count } = new ContentStore({ folder, maxBytes: writing.maxBytes }).summary();
    expect(bytes).toBeLessThanOrEqual(writing.maxBytes);
    expect(count).toBeGreaterThan(60);
  }, 60_000);

  it('leave no wrong content when they are killed while they write', async () => {
    // Large contents: most of the time goes into writing temporary files.
    const writing = { maxBytes: 256 << 20, seed: 1, count: 4, length: 2_000_000, rounds: 1000 };
    let left = 0;
    for (let round = 0; round < 25; round += 1) {
      expect(await writeAndKill(writing, 1 + 2 * round)).toEqual(['SIGKILL', 'SIGKILL']);
      expect(falseFiles(folder), `round ${round}`).toEqual([]);
      left = Math.max(left, temporaryFiles(folder).length);
    }
    // Otherwise no kill came during a write, and nothing was tested.
    expect(left).toBeGreaterThan(0);

    const later = new ContentStore({ folder, ...writing, now: () => Date.now() + 2 * HOUR });
    for (const bytes of contentsOf(writing)) {
      const name = hashContent(bytes);
      const held = later.read(name);
      if (held) expect(Buffer.compare(held, bytes)).toBe(0);
      expect(await later.write(name, bytes)).toBe(true);
    }
    expect(temporaryFiles(folder)).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(writing.count);
  }, 120_000);
});
