import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { contentNameToHex } from '#farlight/proto/content/content.js';
import { FILTER_NAMES } from '#farlight/proto/content/content-filter.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { type Content, content, HOUR, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
afterEach(() => folders.remove());

/** A sixteenth of the store's bytes. */
const PIECE = 1 << 16;
const MAX = 16 * PIECE;

let folder: string;
let time: number;
beforeEach(() => {
  folder = folders.make();
  time = Date.UTC(2026, 0, 1);
});

const open = (maxBytes = MAX) => new ContentStore({ folder, maxBytes, now: () => time });

/** Writes these contents, an hour apart. */
async function fill(store: ContentStore, contents: Content[]): Promise<void> {
  for (const { name, bytes } of contents) {
    expect(await store.write(name, bytes)).toBe(true);
    time += HOUR;
  }
}

const pieces = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => content(from + at, PIECE));
const held = (store: ContentStore, contents: Content[]) => contents.map(({ name }) => !!store.read(name));

describe('a full content store', () => {
  it('evicts the least recently used contents, down to three quarters', async () => {
    const store = open();
    const contents = pieces(15);
    await fill(store, contents.slice(0, 14));
    expect(store.summary().count).toBe(14);
    store.read((contents[1] as Content).name);
    time += HOUR;
    await fill(store, contents.slice(14));
    const gone = [0, 2, 3];
    expect(held(store, contents)).toEqual(contents.map((_content, at) => !gone.includes(at)));
  });

  it('counts the contents that another process has written', async () => {
    const [mine, others] = [pieces(7), pieces(8, 100)];
    const [here, there] = [open(), open()];
    await fill(here, mine);
    await fill(there, others);
    expect(open().summary().count).toBe(12);
    expect(held(here, mine)).toEqual([false, false, false, true, true, true, true]);
    await fill(here, pieces(3, 200));
    expect(open().summary().bytes).toBeLessThanOrEqual(MAX);
  });

  it('counts whole blocks for small contents', async () => {
    const store = open();
    for (let seed = 0; seed < 300; seed += 1) {
      const { name, bytes } = content(seed, 1 + (seed % 7));
      await store.write(name, bytes);
    }
    // 256 blocks of 4 KiB fill the store.
    expect(store.summary().count).toBeLessThanOrEqual(224);
    expect(store.summary().count).toBeGreaterThan(150);
  });

  it('evicts several small contents for a large one', async () => {
    const store = open();
    await fill(store, pieces(14));
    await fill(store, [content(100, 4 * PIECE)]);
    expect(store.summary()).toMatchObject({ count: 9, bytes: 12 * PIECE });
  });

  it('stays in its bound when several processes make room for a large content at once', async () => {
    await fill(open(), pieces(12));
    const large = Array.from({ length: 6 }, (_, at) => content(100 + at, 4 * PIECE));
    await Promise.all(large.map(({ name, bytes }) => open().write(name, bytes)));
    expect(open().summary().bytes).toBeLessThanOrEqual(MAX);
  });

  it('keeps no more contents than a filter can name', async () => {
    const store = open(2 ** 30);
    mkdirSync(folder, { recursive: true });
    for (let at = 0; at < FILTER_NAMES; at += 1) {
      const path = join(folder, at.toString(16).padStart(64, '0'));
      writeFileSync(path, '');
      utimesSync(path, time / 1000 + at, time / 1000 + at);
    }
    time += 1000 * HOUR;
    const one = content(1);
    await fill(store, [one]);
    const files = new Set(readdirSync(folder));
    expect(files.size).toBe((FILTER_NAMES * 7) / 8 + 1);
    expect(files.has(contentNameToHex(one.name))).toBe(true);
    expect(files.has((FILTER_NAMES / 8 - 1).toString(16).padStart(64, '0'))).toBe(false);
    expect(files.has((FILTER_NAMES / 8).toString(16).padStart(64, '0'))).toBe(true);
  });
});
