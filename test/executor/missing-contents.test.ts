import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { NamedContents } from '#farlight/client/reuse/named-contents.js';
import { UploadPolicy } from '#farlight/client/reuse/upload-policy.js';
import { emptyStats } from '#farlight/client/session/stats.js';
import type { ContentName } from '#farlight/proto/content/content.js';
import { ContentFilter } from '#farlight/proto/content/content-filter.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import { Reader } from '#farlight/proto/wire/reader.js';
import { REPLY } from '#farlight/proto/wire/reply.js';
import { ITEM, ITEM_KINDS } from '#farlight/proto/wire/template.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';
import { type Content, content, fileOf, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
afterEach(async () => {
  // A store that still writes makes its folder again.
  await store.idle();
  folders.remove();
});

const [one, two, three] = [1, 2, 3].map((seed) => content(seed, 4000)) as [Content, Content, Content];

let folder: string;
let store: ContentStore;
let fake: FakeGpu;
let ends: string[];
let sent: Uint8Array[];
let session: ExecutorSession;
let encoder: CommandEncoder;
let device: Handle;
let queue: Handle;
let buffer: Handle;

/** Opens a session with a buffer. Its client believes that the host has the first three contents. */
async function open(options: { writeFile?: () => Promise<void> } = {}): Promise<void> {
  store = new ContentStore({ folder, maxBytes: 1 << 20, ...options });
  fake = new FakeGpu();
  ends = [];
  sent = [];
  session = new ExecutorSession(
    fake.gpu,
    { send: (frame) => sent.push(frame), end: (code, reason) => ends.push(`${code}: ${reason}`) },
    { store },
  );
  const owner = {};
  const root = new Handle(ROOT_ID, owner);
  encoder = new CommandEncoder(owner, 'on');
  const filter = ContentFilter.of([one, two, three].map(({ name }) => name)).encode();
  const policy = new UploadPolicy({ largestBytes: store.largestBytes });
  encoder.contents = new NamedContents(
    { filter, largestBytes: store.largestBytes },
    { stats: emptyStats(), policy, nextSerial: () => 1 },
  );
  const [adapter, ...made] = Array.from({ length: 4 }, () => new Handle(UNMADE, owner));
  [device, queue, buffer] = made as [Handle, Handle, Handle];
  const { requestAdapter } = OPERATIONS.GPU;
  const options_ = { featureLevel: 'core', forceFallbackAdapter: false, xrCompatible: false };
  encoder.write(requestAdapter, root, [options_], adapter);
  send();
  await turn();
  const descriptor = { label: '', requiredFeatures: [], requiredLimits: {}, defaultQueue: { label: '' } };
  encoder.write(OPERATIONS.GPUAdapter.requestDevice, adapter as Handle, [descriptor], device);
  send();
  await turn();
  encoder.write(OPERATIONS.GPUDevice.getQueue, device, [], queue);
  const { createBuffer } = OPERATIONS.GPUDevice;
  encoder.write(createBuffer, device, [{ label: '', size: 8000, usage: 8, mappedAtCreation: false }], buffer);
  send();
  fake.calls.length = 0;
  sent.length = 0;
}

beforeEach(async () => {
  folder = folders.make();
  await open();
});

let offsets = 0;
/** Records an upload to its own place in the buffer. */
function upload({ bytes }: { bytes: Uint8Array }): void {
  offsets += 4;
  encoder.write(OPERATIONS.GPUQueue.writeBuffer, queue, [buffer, offsets, bytes]);
}
const destroy = () => encoder.write(OPERATIONS.GPUBuffer.destroy, buffer, []);

function send(): void {
  for (const frame of encoder.take()) session.receive(frame);
}

function supply(name: ContentName, bytes: Uint8Array): void {
  const w = new Writer();
  w.u64(bytes.length * ITEM_KINDS + ITEM.content);
  w.append(name);
  w.append(bytes);
  for (const frame of w.take()) session.receive(frame);
}

/** The calls that reached the GPU. An upload is shown by its bytes. */
const done = () =>
  fake.calls.map(([name, args]) => {
    const content = [one, two, three].findIndex(
      ({ bytes }) => name === 'GPUQueue.writeBuffer' && Buffer.compare(bytes, args[2] as Uint8Array) === 0,
    );
    return content < 0 ? name : content + 1;
  });

/** The names that the host has asked for since the last call. */
async function asked(): Promise<number[]> {
  await turn();
  const readers = sent.splice(0).map((frame) => new Reader(frame.subarray(1)));
  return readers.flatMap((r) => {
    const names: number[] = [];
    while (!r.done) {
      expect(r.u8()).toBe(REPLY.missing);
      const name = Buffer.from(r.take(32, 32));
      names.push([one, two, three].findIndex((each) => name.equals(each.name)) + 1);
    }
    return names;
  });
}

const PROTOCOL_ERROR = [expect.stringMatching(/^PROTOCOL_ERROR: /)];

describe('a content that the host keeps', () => {
  it('takes the place of its name', async () => {
    await store.write(one.name, one.bytes);
    upload(one);
    send();
    expect(done()).toEqual([1]);
    expect(await asked()).toEqual([]);
  });
});

describe('a missing content', () => {
  it('holds all commands after it, which then run in their order', async () => {
    upload(one);
    destroy();
    send();
    upload({ bytes: new Uint8Array(16) });
    encoder.release([buffer.id]);
    send();
    expect(done()).toEqual([]);
    expect(await asked()).toEqual([1]);
    supply(one.name, one.bytes);
    expect(done()).toEqual([1, 'GPUBuffer.destroy', 'GPUQueue.writeBuffer']);
    // The release was carried out, too.
    destroy();
    send();
    expect(ends).toEqual(PROTOCOL_ERROR);
  });

  it('is asked for at once and once, and several may come in any order', async () => {
    await store.write(two.name, two.bytes);
    for (const each of [one, two, three, one, three]) upload(each);
    send();
    expect(await asked()).toEqual([1, 3]);
    supply(three.name, three.bytes);
    expect(done()).toEqual([]);
    supply(one.name, one.bytes);
    expect(done()).toEqual([1, 2, 3, 1, 3]);
    expect(await asked()).toEqual([]);
  });

  it('lets commands run up to the next missing content', async () => {
    for (const each of [one, two]) upload(each);
    send();
    supply(one.name, one.bytes);
    expect(done()).toEqual([1]);
    supply(two.name, two.bytes);
    expect(done()).toEqual([1, 2]);
    expect(ends).toEqual([]);
  });

  it.each<[string, () => void]>([
    ['other bytes', () => supply(one.name, two.bytes)],
    ['fewer bytes', () => supply(one.name, one.bytes.subarray(1))],
    ['another content', () => supply(two.name, two.bytes)],
  ])('%s in its place end the session', (_what, answer) => {
    upload(one);
    send();
    answer();
    expect(ends).toEqual(PROTOCOL_ERROR);
    expect(done()).toEqual(['GPUDevice.destroy']);
  });

  it('does not keep the session from closing', () => {
    upload(one);
    send();
    session.close();
    supply(one.name, one.bytes);
    expect([done(), ends]).toEqual([['GPUDevice.destroy'], []]);
  });
});

describe('a content that comes', () => {
  it('is refused where it was not asked for', () => {
    supply(one.name, one.bytes);
    expect(ends).toEqual(PROTOCOL_ERROR);
  });

  it('is refused under the name of another content', async () => {
    const w = new Writer();
    w.u64(ITEM.once);
    w.bytes(Uint8Array.of(0));
    w.u32(0);
    w.u32(1);
    w.u64(one.bytes.length * 4 + 2);
    w.append(two.name);
    w.append(one.bytes);
    for (const frame of w.take()) session.receive(frame);
    expect(ends).toEqual(PROTOCOL_ERROR);
    await store.idle();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the memory of a frame', () => {
  const taken = () => encoder.take().map((frame) => session.receive(frame));
  const short = { bytes: Uint8Array.of(1, 2, 3, 4) };

  it('can be used again where the frame was one write that was carried out', () => {
    upload(short);
    expect(taken()).toEqual([true]);
    upload(short);
    upload(short);
    expect(taken()).toEqual([false]);
    destroy();
    expect(taken()).toEqual([false]);
  });

  it('is kept where the write is held, or its bytes are stored', () => {
    upload(content(5, 4000));
    expect(taken()).toEqual([false]);
    upload(one);
    expect(taken()).toEqual([false]);
    upload(short);
    expect(taken()).toEqual([false]);
    supply(one.name, one.bytes);
    expect(done().length).toBe(3);
    upload(short);
    expect(taken()).toEqual([true]);
  });
});

describe('a payload with its name', () => {
  it('is stored, and found by its name from then on', async () => {
    const four = content(4, 4000);
    upload(four);
    send();
    upload(four);
    send();
    expect(done().length).toBe(2);
    await store.idle();
    rmSync(fileOf(folder, four));
    upload(four);
    send();
    expect(done().length).toBe(2);
    supply(four.name, four.bytes);
    expect(done().length).toBe(3);
    await store.idle();
    expect(readdirSync(folder).length).toBe(1);
  });

  it('is used although the disk is full, and asked for when it is named again', async () => {
    await open({ writeFile: () => Promise.reject(Object.assign(new Error('full'), { code: 'ENOSPC' })) });
    const four = content(4, 4000);
    for (let round = 0; round < 2; round += 1) {
      upload(four);
      send();
      await store.idle();
      await turn();
    }
    expect(done().length).toBe(1);
    supply(four.name, four.bytes);
    expect([done().length, ends]).toEqual([2, []]);
  });
});
