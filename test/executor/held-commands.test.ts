import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ContentName, toContentName } from '#farlight/proto/content/content.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { clearFolder } from '#farlight/server/contents/content-folder.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { NamedContent } from '#farlight/server/executor/wire/command-decoder.js';
import { HeldCommands } from '#farlight/server/executor/wire/held-commands.js';
import { type Content, content, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
const [one, two] = [1, 2].map((seed) => content(seed, 4000)) as [Content, Content];

const carried: string[] = [];
const runner = {
  execute: (command: string) => void carried.push(command),
  release: () => void carried.push('release'),
};

let folder: string;
let store: ContentStore;
beforeEach(() => {
  folder = folders.make();
  store = new ContentStore({ folder, maxBytes: 1 << 20 });
  carried.length = 0;
});
afterEach(async () => {
  // A store that still writes makes its folder again.
  await store.idle();
  folders.remove();
});

describe('a content in the store', () => {
  it('is not used where it was named with another length', async () => {
    await store.write(one.name, one.bytes);
    const held = new HeldCommands<string>({ store, runner, ask: () => expect.unreachable() });
    const named = new NamedContent(one.name, one.bytes.length - 1);
    expect(() => held.execute('a', [], [named], 0)).toThrow(ProtocolError);
    expect(carried).toEqual([]);
  });
});

describe('a paused session', () => {
  const stored = () => new NamedContent(one.name, one.bytes.length);

  it('holds its commands, asks for missing contents at once, and reads the store in their turn', async () => {
    await store.write(one.name, one.bytes);
    const asks: ContentName[] = [];
    const done: [string, number][] = [];
    const held: HeldCommands<string> = new HeldCommands<string>({
      store,
      ask: (name) => void asks.push(name),
      runner: {
        execute: (command, _operands, payloads) => {
          done.push([command, payloads.reduce((sum, { length }) => sum + length, 0)]);
          if (command === 'pauses') held.pause();
        },
        release: () => void done.push(['release', 0]),
      },
    });
    held.execute('pauses', [], [], 0);
    held.execute('named', [], [stored()], 0);
    held.execute('pauses', [], [new Uint8Array(5)], 0);
    held.execute('missing', [], [new NamedContent(two.name, two.bytes.length)], 0);
    held.release(1, 1);
    expect(done).toEqual([['pauses', 0]]);
    expect(asks).toEqual([two.name]);
    held.resume();
    expect(done.slice(1)).toEqual([
      ['named', 4000],
      ['pauses', 5],
    ]);
    held.supply(two.name, two.bytes);
    expect(done.length).toBe(3);
    held.resume();
    expect(done.slice(3)).toEqual([
      ['missing', 4000],
      ['release', 0],
    ]);
    held.execute('at once', [], [], 0);
    expect(done.at(-1)).toEqual(['at once', 0]);
  });

  it('asks for a content that was there and is gone when its turn comes', async () => {
    await store.write(one.name, one.bytes);
    const asks: ContentName[] = [];
    const held = new HeldCommands<string>({ store, runner, ask: (name) => void asks.push(name) });
    held.pause();
    held.execute('named', [], [stored()], 0);
    clearFolder(folder);
    held.resume();
    expect([asks, carried]).toEqual([[one.name], []]);
    held.supply(one.name, one.bytes);
    expect(carried).toEqual(['named']);
  });
});

describe('the held commands', () => {
  const missing = new NamedContent(toContentName(new Uint8Array(32)), 10);
  const hold = () => {
    const held = new HeldCommands<string>({ store, runner, ask: () => {}, mostBytes: 10_000 });
    held.begin(1000);
    held.execute('first', [], [missing], 0);
    return held;
  };

  it.each<[string, (held: HeldCommands<string>) => void]>([
    ['by their flushes', (held) => held.begin(5000)],
    ['by their number, however short each is', () => {}],
  ])('is bounded %s', (_what, begin) => {
    const held = hold();
    const flood = () => {
      for (let count = 0; count < 100; count += 1) {
        begin(held);
        held.execute('more', [1], [], 0);
      }
    };
    expect(flood).toThrow(/held commands take more than 10000 bytes/);
    expect(carried).toEqual([]);
  });

  it('are bounded by the contents that are missing, and not by those in the store', async () => {
    await store.write(one.name, one.bytes);
    const held = hold();
    const stored = new NamedContent(one.name, one.bytes.length);
    for (let count = 0; count < 10; count += 1) held.execute('more', [], [stored], 0);
    const absent = new NamedContent(two.name, two.bytes.length);
    held.execute('more', [], [absent], 0);
    expect(() => held.execute('more', [], [absent], 0)).toThrow(ProtocolError);
  });
});
