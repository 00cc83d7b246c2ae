import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '#farlight/link/machine/deferred.js';
import { hashContent } from '#farlight/link/machine/hashing.js';
import { clearFolder } from '#farlight/server/contents/content-folder.js';
import { ContentStore, type ContentStoreOptions } from '#farlight/server/contents/content-store.js';
import { content, fileOf, HOUR, temporaryFiles, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
afterEach(() => folders.remove());

let folder: string;
let logged: string[];
let time: number;
beforeEach(() => {
  folder = folders.make();
  logged = [];
  time = Date.UTC(2026, 0, 1);
});

const open = (options: Partial<ContentStoreOptions> = {}) =>
  new ContentStore({
    folder,
    maxBytes: 1 << 20,
    log: (message) => logged.push(message),
    now: () => time,
    ...options,
  });

const failing = (code: string) => async () => {
  throw Object.assign(new Error(code), { code });
};

describe('a content store', () => {
  it.each([0, 1, 4095, 4096, 10_000])('gives back %d bytes, also to another process', async (length) => {
    const one = content(1, length);
    const store = open();
    expect(store.read(one.name)).toBeUndefined();
    expect(await store.write(one.name, one.bytes)).toBe(true);
    expect(store.read(one.name)).toEqual(one.bytes);
    expect(open().read(one.name)).toEqual(one.bytes);
    expect(logged).toEqual([]);
  });

  it('lets only this user read its files', async () => {
    const one = content(1);
    await open({ folder: join(folder, 'a', 'b') }).write(one.name, one.bytes);
    const mode = (path: string) => statSync(path).mode & 0o777;
    expect([join(folder, 'a'), join(folder, 'a', 'b')].map(mode)).toEqual([0o700, 0o700]);
    expect(mode(fileOf(join(folder, 'a', 'b'), one))).toBe(0o600);
  });

  it('gives back a content that is still being written', async () => {
    const gate = deferred<void>();
    const [one, two] = [content(1), content(2)];
    const store = open({ writeFile: () => gate.promise.then(failing('ENOSPC')) });
    const writes = [store.write(one.name, one.bytes), store.write(one.name, one.bytes)];
    expect(store.read(one.name)).toEqual(one.bytes);
    expect(store.read(two.name)).toBeUndefined();
    gate.resolve();
    expect(await Promise.all(writes)).toEqual([false, false]);
    expect(store.read(one.name)).toBeUndefined();
  });

  it('does not keep bytes under the name of another content', async () => {
    const [one, two] = [content(1), content(2)];
    const store = open();
    const writing = store.write(one.name, two.bytes);
    expect(store.read(one.name)).toBeUndefined();
    expect(await writing).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
  });

  it('does not keep a content larger than a quarter of its bound', async () => {
    const store = open();
    const [fits, tooLarge] = [content(1, 1 << 18), content(2, (1 << 18) + 1)];
    expect(await store.write(tooLarge.name, tooLarge.bytes)).toBe(false);
    expect(await store.write(fits.name, fits.bytes)).toBe(true);
  });

  it('accepts a bounded number of bytes while the disk is slow', async () => {
    const gate = deferred<void>();
    const bytes = new Uint8Array(64 << 20);
    const large = { name: hashContent(bytes), bytes };
    const store = open({ maxBytes: 1 << 30, writeFile: () => gate.promise.then(failing('ENOSPC')) });
    const writes = Array.from({ length: 5 }, () => store.write(large.name, large.bytes));
    expect(await writes[4]).toBe(false);
    expect(logged).toEqual([expect.stringMatching(/arrive faster than/)]);
    gate.resolve();
    await Promise.all(writes);
    // There is room again. Now the disk refuses.
    expect(await store.write(large.name, large.bytes)).toBe(false);
    expect(logged).toEqual([expect.anything(), expect.stringMatching(/ENOSPC/)]);
  });

  it('names its contents, the most recently used first, and sums them up', async () => {
    const [one, two, three] = [content(1, 10), content(2, 20), content(3, 30)];
    const store = open();
    const start = time;
    for (const { name, bytes } of [one, two, three]) {
      await store.write(name, bytes);
      time += HOUR;
    }
    store.read(one.name);
    expect(open().names()).toEqual([one.name, three.name, two.name]);
    expect(store.summary()).toEqual({
      count: 3,
      bytes: 60,
      oldestUse: start + HOUR,
      newestUse: start + 3 * HOUR,
    });
  });

  it('notes the use of a content at most once an hour', async () => {
    const one = content(1);
    const store = open();
    await store.write(one.name, one.bytes);
    const used = () => statSync(fileOf(folder, one)).mtimeMs;
    const start = time;
    for (const [step, noted] of [
      [HOUR - 1, start],
      [1, start + HOUR],
      [HOUR - 1, start + HOUR],
      [1, start + 2 * HOUR],
    ] as const) {
      time += step;
      store.read(one.name);
      expect(used()).toBe(noted);
    }
  });

  it('is empty after its folder was cleared, and can be used again', async () => {
    const [one, two] = [content(1), content(2)];
    const store = open();
    await store.write(one.name, one.bytes);
    expect(clearFolder(folder)).toMatchObject({ count: 1, bytes: 1000 });
    expect([store.read(one.name), store.names(), store.summary()]).toEqual([
      undefined,
      [],
      { count: 0, bytes: 0 },
    ]);
    expect(await store.write(two.name, two.bytes)).toBe(true);
    expect(store.read(two.name)).toEqual(two.bytes);
  });
});

describe('a damaged content is deleted and not given out:', () => {
  const one = content(1);
  const SPOIL: Record<string, (path: string) => void> = {
    'cut off': (path) => truncateSync(path, 999),
    'cut off to nothing': (path) => truncateSync(path, 0),
    'one bit flipped': (path) => {
      const bytes = readFileSync(path);
      bytes[500] = (bytes[500] as number) ^ 0x10;
      writeFileSync(path, bytes);
    },
    'with something appended': (path) => writeFileSync(path, 'x', { flag: 'a' }),
    'replaced by another content': (path) => writeFileSync(path, content(2).bytes),
    'far too large': (path) => truncateSync(path, 2 ** 40),
    'a folder': (path) => {
      rmSync(path);
      mkdirSync(join(path, 'deep'), { recursive: true });
    },
    'a link, though to the right content': (path) => {
      const elsewhere = join(folders.make(), 'file');
      renameSync(path, elsewhere);
      symlinkSync(elsewhere, path);
    },
    'a pipe': (path) => {
      rmSync(path);
      execFileSync('mkfifo', [path]);
    },
  };
  for (const [name, spoil] of Object.entries(SPOIL)) {
    it(name, async () => {
      const store = open();
      await store.write(one.name, one.bytes);
      spoil(fileOf(folder, one));
      expect(store.read(one.name)).toBeUndefined();
      expect(readdirSync(folder)).toEqual([]);
      expect(logged).toEqual([expect.stringMatching(/damaged|cannot be read/)]);
      // It can be uploaded again.
      expect(await store.write(one.name, one.bytes)).toBe(true);
      expect(store.read(one.name)).toEqual(one.bytes);
    });
  }

  it('unless the next upload repairs it', async () => {
    const store = open();
    await store.write(one.name, one.bytes);
    truncateSync(fileOf(folder, one), 10);
    await store.write(one.name, one.bytes);
    expect(store.read(one.name)).toEqual(one.bytes);
    expect(logged).toEqual([]);
  });

  it('a damaged content is logged once', async () => {
    const store = open();
    for (const seed of [1, 2, 3]) {
      const { name, bytes } = content(seed);
      await store.write(name, bytes);
      truncateSync(fileOf(folder, content(seed)), 10);
      expect(store.read(name)).toBeUndefined();
    }
    expect(logged).toHaveLength(1);
  });
});

describe('a content store whose disk fails', () => {
  const [one, two] = [content(1), content(2)];

  it('keeps nothing, leaves no file and logs once where the disk is full', async () => {
    const store = open({
      async writeFile(path, bytes) {
        writeFileSync(path, bytes.subarray(0, 100));
        await failing('ENOSPC')();
      },
    });
    expect(await store.write(one.name, one.bytes)).toBe(false);
    expect(await store.write(two.name, two.bytes)).toBe(false);
    expect(readdirSync(folder)).toEqual([]);
    expect(store.read(one.name)).toBeUndefined();
    expect(logged).toEqual([`${folder} cannot be written (ENOSPC): uploads are not kept`]);
  });

  it('keeps later contents when the disk works again', async () => {
    let full = true;
    const store = open({
      writeFile: async (path, bytes) => (full ? failing('ENOSPC')() : writeFileSync(path, bytes)),
    });
    expect(await store.write(one.name, one.bytes)).toBe(false);
    full = false;
    expect(await store.write(one.name, one.bytes)).toBe(true);
  });

  it('makes its folder again', async () => {
    const store = open();
    await store.write(one.name, one.bytes);
    rmSync(folder, { recursive: true });
    expect([store.read(one.name), store.names(), store.summary().count]).toEqual([undefined, [], 0]);
    expect(await store.write(two.name, two.bytes)).toBe(true);
    expect([store.read(two.name), logged]).toEqual([two.bytes, []]);
  });

  it('logs once and throws nothing where its folder cannot be made', async () => {
    writeFileSync(join(folder, 'file'), '');
    const store = open({ folder: join(folder, 'file', 'sub') });
    for (const { name, bytes } of [one, two]) {
      expect(await store.write(name, bytes)).toBe(false);
      expect(store.read(name)).toBeUndefined();
    }
    expect([store.names(), store.summary()]).toEqual([[], { count: 0, bytes: 0 }]);
    expect(logged.filter((message) => message.includes('written (ENOTDIR)'))).toHaveLength(1);
    expect(logged.filter((message) => message.includes('read (ENOTDIR)'))).toHaveLength(1);
    expect(logged).toHaveLength(2);
  });

  // Root can write to a read-only folder.
  it.skipIf(process.getuid?.() === 0)('gives out its contents from a read-only folder', async () => {
    const store = open();
    await store.write(one.name, one.bytes);
    chmodSync(folder, 0o500);
    try {
      time += 2 * HOUR;
      expect(await store.write(two.name, two.bytes)).toBe(false);
      expect(store.read(one.name)).toEqual(one.bytes);
      expect(logged).toEqual([`${folder} cannot be written (EACCES): uploads are not kept`]);
    } finally {
      chmodSync(folder, 0o700);
    }
  });

  it('gives out its contents where writes are refused', async () => {
    await open().write(one.name, one.bytes);
    const store = open({ writeFile: failing('EROFS') });
    expect(await store.write(two.name, two.bytes)).toBe(false);
    expect(store.read(one.name)).toEqual(one.bytes);
    expect(logged).toEqual([`${folder} cannot be written (EROFS): uploads are not kept`]);
  });
});

describe('the temporary file of a killed process', () => {
  it('is deleted when it is old, and is never a content', async () => {
    const [one, two] = [content(1), content(2)];
    const left = join(folder, `new-${'0'.repeat(32)}`);
    writeFileSync(left, 'half');
    utimesSync(left, time / 1000, time / 1000);
    time += HOUR - 1;
    await open().write(one.name, one.bytes);
    expect(temporaryFiles(folder)).toHaveLength(1);
    expect(open().summary()).toMatchObject({ count: 1, bytes: 1004 });
    expect(open().names()).toEqual([one.name]);
    time += 1;
    await open().write(two.name, two.bytes);
    expect(temporaryFiles(folder)).toEqual([]);
  });

  it('is told from the files of others, which stay', async () => {
    const foreign = ['notes.txt', 'new-', 'F'.repeat(64)];
    for (const file of foreign) writeFileSync(join(folder, file), 'mine');
    const store = open();
    time += 1000 * HOUR;
    const { name, bytes } = content(1);
    await store.write(name, bytes);
    clearFolder(folder);
    expect(readdirSync(folder).sort()).toEqual([...foreign].sort());
  });
});
