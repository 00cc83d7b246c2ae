import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { answerCall, FileCaller } from '#farlight/pool/files/file-calls.js';
import { replicate } from '#farlight/pool/files/replicate.js';
import { MooseFsSite, whyNoMooseFs } from '../support/engines/moosefs-site.js';

let folder: string;
let from: string;
let to: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'files-'));
  [from, to] = [join(folder, 'from'), join(folder, 'to')];
  for (const each of [from, to]) mkdirSync(each);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const OLD = new Date('2020-01-01T00:00:00Z');
const write = (path: string, text: string) => writeFileSync(join(folder, path), text);
const read = (path: string) => readFileSync(join(folder, path), 'utf8');
const copy = () => replicate([{ from, to: '.' }], to);

describe('replication', () => {
  it('copies folders, files, links and modes, and skips files whose content is there', async () => {
    mkdirSync(join(from, 'a/empty'), { recursive: true });
    write('from/a/one', '1');
    write('from/run.sh', '#!/bin/sh');
    chmodSync(join(from, 'run.sh'), 0o755);
    symlinkSync('a/one', join(from, 'link'));
    expect(await copy()).toEqual({ copied: 2, unchanged: 0, bytes: 10 });
    expect([read('to/a/one'), read('to/link')]).toEqual(['1', '1']);
    expect(statSync(join(to, 'run.sh')).mode & 0o777).toBe(0o755);
    expect(existsSync(join(to, 'a/empty'))).toBe(true);
    expect(readdirSync(join(to, '.farlight/incoming'))).toEqual([]);
    expect(await copy()).toEqual({ copied: 0, unchanged: 2, bytes: 0 });
    write('from/a/one', '2');
    expect(await copy()).toMatchObject({ copied: 1, unchanged: 1 });
    expect(read('to/a/one')).toBe('2');
  });

  it('compares contents, and not only times: a touched file is skipped, and one of the same size and time is not', async () => {
    write('from/one', 'aaaa');
    await copy();
    utimesSync(join(from, 'one'), OLD, OLD);
    expect(await copy()).toMatchObject({ copied: 0, unchanged: 1 });
    write('from/one', 'bbbb');
    utimesSync(join(from, 'one'), OLD, OLD);
    expect(await copy()).toMatchObject({ copied: 1 });
    expect(read('to/one')).toBe('bbbb');
  });

  it('leaves a copy alone that a program has changed, and brings back one that was deleted', async () => {
    write('from/changed', '1');
    write('from/deleted', '1');
    await copy();
    write('to/changed', 'by the GPU side');
    rmSync(join(to, 'deleted'));
    write('to/new', 'by the GPU side');
    expect(await copy()).toMatchObject({ copied: 1, unchanged: 1 });
    expect([read('to/changed'), read('to/deleted'), read('to/new')]).toEqual([
      'by the GPU side',
      '1',
      'by the GPU side',
    ]);
  });

  it('copies nothing where an original and its copy were both changed, and says which', async () => {
    write('from/both', '1');
    write('from/other', '1');
    await copy();
    write('from/both', '2');
    write('to/both', 'three');
    write('from/other', '2');
    await expect(copy()).rejects.toThrow(/both in \/.*to differ from the originals.*; move or delete one/);
    expect([read('to/both'), read('to/other')]).toEqual(['three', '1']);
    write('to/both', '2');
    expect(await copy()).toMatchObject({ copied: 1, unchanged: 1 });
  });

  it('keeps what several programs copy at the same time, each from its own originals', async () => {
    const sources = Array.from({ length: 8 }, (_, n) => {
      mkdirSync(join(from, `${n}`));
      for (let at = 0; at < 20; at += 1) write(`from/${n}/${at}`, `${n}.${at}`);
      return { from: join(from, `${n}`), to: `${n}` };
    });
    await Promise.all(sources.map((source) => replicate([source], to)));
    expect(await replicate(sources, to)).toEqual({ copied: 0, unchanged: 160, bytes: 0 });
    expect(read('to/7/19')).toBe('7.19');
    // Every file is known: each can be changed at its source, and is no conflict.
    for (const { to: name } of sources) write(`from/${name}/0`, 'new');
    expect(await replicate(sources, to)).toMatchObject({ copied: 8 });
  });

  it('does not copy the shared folder into itself, and stops when it is told to', async () => {
    mkdirSync(join(from, 'shared'));
    write('from/one', '1');
    await replicate([{ from, to: '.' }], join(from, 'shared'));
    expect(readdirSync(join(from, 'shared')).sort()).toEqual(['.farlight', 'one']);
    const signal = AbortSignal.abort(new Error('no more'));
    await expect(replicate([{ from: join(from, 'one'), to: 'two' }], to, signal)).rejects.toThrow('no more');
    expect(existsSync(join(to, 'two'))).toBe(false);
  });

  it('says which file cannot be read, and where it cannot write', async () => {
    await expect(replicate([{ from: join(folder, 'none'), to: 'x' }], to)).rejects.toThrow(
      /none cannot be replicated to .* \(ENOENT\)/,
    );
    write('file', '');
    write('from/one', '1');
    await expect(replicate([{ from, to: '.' }], join(folder, 'file'))).rejects.toThrow(/\(ENOTDIR\)/);
  });
});

describe('calls through files', () => {
  it('are each answered once, and end where nobody answers', async () => {
    const caller = new FileCaller(to);
    let answered = 0;
    const calls: unknown[] = [];
    const answering = setInterval(() => {
      answered = answerCall(to, answered, (content) => calls.push(content));
    }, 5);
    expect(await caller.call('a', 10_000)).toBe(1);
    expect(await caller.call('b', 10_000)).toBe(2);
    clearInterval(answering);
    expect(calls).toEqual(['a', 'b']);
    await expect(caller.call('c', 1)).rejects.toThrow(
      /no answer came .*; see that both sides have that folder/,
    );
    const closed = caller.call('d', 60_000);
    caller.close();
    await expect(closed).rejects.toThrow();
  });
});

describe.skipIf(whyNoMooseFs !== undefined)(
  `files on a MooseFS${whyNoMooseFs ? ` (${whyNoMooseFs})` : ''}`,
  () => {
    let site: MooseFsSite;
    beforeAll(async () => {
      site = await MooseFsSite.start();
    });
    afterAll(() => site?.close());

    it('are replicated by one client and read by the other: 1,000 of 1 KB in seconds', async () => {
      const [one, two] = site.mounts;
      for (let n = 0; n < 1000; n += 1) writeFileSync(join(from, `${n}`), `${n}`.padEnd(1024));
      expect(await replicate([{ from, to: 'many' }], one)).toMatchObject({ copied: 1000 });
      expect(await replicate([{ from, to: 'many' }], one)).toMatchObject({ copied: 0, unchanged: 1000 });
      for (const n of [0, 500, 999])
        expect(readFileSync(join(two, 'many', `${n}`), 'utf8').trim()).toBe(`${n}`);
    }, 60_000);
  },
  120_000,
);
