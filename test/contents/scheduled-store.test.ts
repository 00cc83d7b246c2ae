import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { WriteSchedule } from '#farlight/server/contents/write-schedule.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';
import { type Content, content, temporaryFolders } from '../support/hosts/content-files.js';
import { FakeTime } from '../support/time/fake-time.js';

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

/** Waits until another store has written, which waits for nothing: this one could have written as well. */
const settle = () =>
  new ContentStore({ folder: folders.make(), maxBytes: 1 << 20 }).write(one.name, one.bytes);
const files = () => readdirSync(folder);

describe('a store that writes when the program rests', () => {
  it('gives out contents that it has not written yet, and writes all of them in one rest', async () => {
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

  it('writes everything before it is idle, however busy the program is', async () => {
    for (const { name, bytes } of [one, two]) void store.write(name, bytes);
    await store.idle();
    expect(files().length).toBe(2);
    void store.write(content(3).name, content(3).bytes);
    await settle();
    expect(files().length).toBe(2);
    await store.idle();
  });

  it('counts the memory of whole frames, so that short contents keep no long frames', async () => {
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

describe('a session makes its contents be written', () => {
  const open = () =>
    new ExecutorSession(new FakeGpu().gpu, { send: () => {}, end: () => {} }, { store, writes: schedule });

  it.each<[string, (session: ExecutorSession) => unknown]>([
    ['when it closes', (session) => session.close()],
    ['when it hands over, and its process stays', (session) => session.handOver()],
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
    // A frame with a part of a flush, whose rest never comes.
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
