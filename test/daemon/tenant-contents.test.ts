import { mkdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentFilter } from '#farlight/proto/content/content-filter.js';
import { KeptContents } from '#farlight/server/daemon/tenants/tenant-contents.js';
import { type Content, content, fileOf, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
afterEach(() => folders.remove());

let root: string;
let contents: KeptContents;
beforeEach(() => {
  root = folders.make();
  contents = new KeptContents({ root, maxBytes: 1 << 20 });
});

const [one, two] = [content(1), content(2)] as [Content, Content];

/** Puts a content into the folder, as an executor does at some other time. */
function put(each: Content, time: number): void {
  mkdirSync(contents.folder.path, { recursive: true });
  writeFileSync(fileOf(contents.folder.path, each), each.bytes);
  utimesSync(contents.folder.path, time, time);
}

const told = () => {
  const filter = ContentFilter.decode(contents.describe().filter);
  return [one, two].map(({ name }) => filter.mayHold(name));
};

describe('the contents that a host keeps', () => {
  it('are none before the first upload', () => {
    expect(contents.describe()).toEqual({ filter: new Uint8Array(0), largestBytes: 3 << 16 });
  });

  it('are read from the folder each time a session begins', () => {
    put(one, 1000);
    expect(told()).toEqual([true, false]);
    put(two, 2000);
    expect(told()).toEqual([true, true]);
    rmSync(fileOf(contents.folder.path, one));
    expect(told()).toEqual([false, true]);
  });

  it('are read again only if the folder has changed, or changed a moment ago', () => {
    put(one, 1000);
    const { filter } = contents.describe();
    expect(contents.describe().filter).toBe(filter);
    put(two, Date.now() / 1000);
    const next = contents.describe().filter;
    expect(contents.describe().filter).not.toBe(next);
    expect(told()).toEqual([true, true]);
  });

  it('are none where the folder cannot be read', () => {
    writeFileSync(join(root, 'file'), '');
    const none = new KeptContents({ root: join(root, 'file', 'contents') });
    expect(none.describe().filter).toEqual(new Uint8Array(0));
    expect(none.folder.maxBytes).toBeGreaterThan(0);
  });

  it('take at most half of the free disk space', () => {
    const { maxBytes } = new KeptContents({ root }).folder;
    expect(maxBytes).toBeGreaterThan(0);
    expect(maxBytes).toBeLessThanOrEqual(4 * 2 ** 30);
    expect(dirname(contents.folder.path)).toBe(root);
  });
});
