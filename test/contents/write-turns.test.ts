import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { WriteSchedule } from '#farlight/server/contents/write-schedule.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { type Content, content, temporaryFolders } from '../support/content-files.js';
import { FakeGpu } from '../support/fake-gpu.js';
import { FakeTime } from '../support/fake-time.js';

const folders = temporaryFolders();
afterEach(() => folders.remove());

const [one, two] = [content(1), content(2)] as [Content, Content];

let folder: string;
let time: FakeTime;
let schedule: WriteSchedule;
let store: ContentStore;
beforeEach(() => {
  folder = folders.make();
  time = new FakeTime();
  schedule = new WriteSchedule({ clock: time.clock, quietMs: 250, mostBytes: 10_000 });
  store = new ContentStore({ folder, maxBytes: 1 << 20, schedule });
  schedule.worked();
});

/** Until a store that waits for nothing has written, and this one would have as well. */
const settle = () =>
  new ContentStore({ folder: folders.make(), maxBytes: 1 << 20 }).write(one.name, one.bytes);
const files = () => readdirSync(folder);

describe('a store that writes when the program rests', () => {
  it('gives out meanwhile what it has not written, and writes all of it in one rest', async () => {
    const writes = [one, two].map(({ name, bytes }) => store.write(name, bytes));
    await settle();
    expect(files()).toEqual([]);
    expect([store.has(one.name), store.read(one.name), store.read(two.name)]).toEqual([
      true,
      one.bytes,
      two.bytes,
    ]);
    await time.pass(250);
    expect(await Promise.all(writes)).toEqual([true, true]);
    expect(files().length).toBe(2);
  });

  it('writes all before it is idle, however busy the program is', async () => {
    for (const { name, bytes } of [one, two]) void store.write(name, bytes);
    await store.idle();
    expect(files().length).toBe(2);
    void store.write(content(3).name, content(3).bytes);
    await settle();
    expect(files().length).toBe(2);
    await store.idle();
  });

  it('holds no long frames for short contents: their memory counts, and not their bytes', async () => {
    const inFrame = ({ bytes }: Content) => {
      const frame = new Uint8Array(6000);
      frame.set(bytes, 10);
      return frame.subarray(10, 10 + bytes.length);
    };
    const first = store.write(one.name, inFrame(one));
    await settle();
    expect(files()).toEqual([]);
    const second = store.write(two.name, inFrame(two));
    expect(await first).toBe(true);
    await settle();
    expect(files().length).toBe(1);
    schedule.rested();
    expect(await second).toBe(true);
  });
});

describe('a session has what it stored written', () => {
  const open = () =>
    new ExecutorSession(new FakeGpu().gpu, { send: () => {}, end: () => {} }, { store, writes: schedule });

  it.each<[string, (session: ExecutorSession) => unknown]>([
    ['it closes', (session) => session.close()],
    ['it is over, and its process is kept', (session) => session.handOver()],
  ])('when %s', async (_what, end) => {
    const session = open();
    const written = store.write(one.name, one.bytes);
    await settle();
    expect(files()).toEqual([]);
    await end(session);
    expect(await written).toBe(true);
  });

  it('not while frames come', async () => {
    const session = open();
    const written = store.write(one.name, one.bytes);
    // A frame with a part of a batch, which is never complete.
    for (let frames = 0; frames < 100; frames += 1) {
      session.receive(Uint8Array.of(1, 0));
      await time.pass(10);
    }
    await settle();
    expect(files()).toEqual([]);
    await time.pass(250);
    expect(await written).toBe(true);
    session.close();
  });
});
