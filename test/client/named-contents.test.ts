import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CreateOptions, create, stats } from '#farlight/client/index.js';
import { ContentFilter } from '#farlight/proto/content/content-filter.js';
import { REPLY } from '#farlight/proto/wire/reply.js';
import { Writer } from '#farlight/proto/wire/writer.js';
import { ContentStore } from '#farlight/server/contents/content-store.js';
import { ScriptedTransport, turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';
import { type Content, content, fileOf, temporaryFolders } from '../support/hosts/content-files.js';

const folders = temporaryFolders();
afterEach(async () => {
  // A store makes its folder again if it still has something to write.
  await store.idle();
  folders.remove();
});

const weights = [1, 2, 3].map((seed) => content(seed, 40_000)) as [Content, Content, Content];

let folder: string;
let store: ContentStore;
let fake: FakeGpu;
let transport: ScriptedTransport;
beforeEach(() => {
  folder = folders.make();
  store = new ContentStore({ folder, maxBytes: 1 << 20 });
  fake = new FakeGpu();
  transport = new ScriptedTransport(fake.gpu, store);
});

/** A session with a host that tells that it has the contents of the store, or these contents. */
async function open(options: CreateOptions = {}, names = store.names()) {
  const gpu = create({ ...options, transport });
  const opening = gpu.requestAdapter().then((adapter) => adapter?.requestDevice());
  await turn();
  transport.welcome({ filter: ContentFilter.of(names).encode(), largestBytes: store.largestBytes });
  await transport.settle();
  const device = await opening;
  if (!device) throw new Error('the fake GPU has an adapter');
  await transport.settle();
  fake.calls.length = 0;
  return { gpu, device };
}

/** Uploads to a new buffer. */
function upload(device: GPUDevice, { bytes }: Content): void {
  device.queue.writeBuffer(device.createBuffer({ size: bytes.length, usage: 8 }), 0, bytes as never);
}

const uploaded = () =>
  fake.calls
    .filter(([name]) => name === 'GPUQueue.writeBuffer')
    .map(([, args]) => weights.findIndex(({ bytes }) => Buffer.compare(bytes, args[2] as Uint8Array) === 0));

const bytesOf = (frames: readonly Uint8Array[]) => frames.reduce((sum, { length }) => sum + length, 0);

describe('a session with a host that keeps contents', () => {
  it('sends contents that the host has as names, and others once', async () => {
    await store.write(weights[0].name, weights[0].bytes);
    const { gpu, device } = await open();
    const before = stats(gpu);
    for (const each of [...weights, ...weights]) upload(device, each);
    await transport.settle();
    expect(uploaded()).toEqual([0, 1, 2, 0, 1, 2]);
    const { bytesUp, contentsNamed, bytesNotSent } = stats(gpu);
    expect(bytesUp - before.bytesUp).toBeLessThan(2 * 40_000 + 1000);
    expect({ contentsNamed, bytesNotSent }).toEqual({ contentsNamed: 4, bytesNotSent: 4 * 40_000 });
  });

  it('sends a content that the host misses, and the program does not notice', async () => {
    const names = weights.map(({ name }) => name);
    const { gpu, device } = await open({}, names);
    for (const each of weights) upload(device, each);
    const done = device.queue.onSubmittedWorkDone();
    await transport.settle();
    await done;
    expect(uploaded()).toEqual([0, 1, 2]);
    expect(fake.names().at(-1)).toBe('GPUQueue.onSubmittedWorkDone');
    expect(stats(gpu)).toMatchObject({ contentsNamed: 0, bytesNotSent: 0 });
    expect(transport.ends).toEqual([]);
  });

  it('sends contents that the host lost during the session', async () => {
    await store.write(weights[0].name, weights[0].bytes);
    const { device } = await open();
    rmSync(fileOf(folder, weights[0]));
    upload(device, weights[0]);
    await transport.settle();
    expect(uploaded()).toEqual([0]);
    upload(device, weights[0]);
    await transport.settle();
    expect(uploaded()).toEqual([0, 0]);
  });

  it('sends a shader by name', async () => {
    const code = `// ${'x'.repeat(5000)}`;
    const codes: string[] = [];
    fake.answers.createShaderModule = (descriptor: GPUShaderModuleDescriptor) => {
      codes.push(descriptor.code);
      return {};
    };
    const { gpu, device } = await open();
    device.createShaderModule({ code });
    device.createShaderModule({ code, label: 'again' });
    await transport.settle();
    expect(codes).toEqual([code, code]);
    expect(stats(gpu).contentsNamed).toBe(1);
  });

  it('names no content with reuse off', async () => {
    await store.write(weights[0].name, weights[0].bytes);
    const { gpu, device } = await open({ reuse: 'off' });
    for (let round = 0; round < 2; round += 1) upload(device, weights[0]);
    await transport.settle();
    expect(uploaded()).toEqual([0, 0]);
    expect(stats(gpu).contentsNamed).toBe(0);
    expect(stats(gpu).bytesUp).toBeGreaterThan(2 * 40_000);
  });

  it('names one frame of a stream that comes after the first readback', async () => {
    fake.answers.getMappedRange = () => new ArrayBuffer(16);
    const { device } = await open();
    const read = async () => {
      const reading = device.createBuffer({ size: 16, usage: 9 }).mapAsync(1);
      await transport.settle();
      await reading;
    };
    await read();
    for (let frame = 0; frame < 20; frame += 1) {
      upload(device, content(100 + frame, 30_000));
      await read();
    }
    await store.idle();
    expect(store.names().length).toBe(1);
  });

  it('ends if the host misses a content that was never named, or has a malformed filter', async () => {
    const missing = new Writer();
    missing.u8(REPLY.missing);
    missing.append(weights[0].name);
    const { device } = await open();
    upload(device, weights[0]);
    await transport.settle();
    transport.sendDown(missing.take()[0] as Uint8Array);
    expect((await device.lost).message).toMatch(
      /sent what the protocol does not allow: a content is missing/,
    );

    const other = new ScriptedTransport(fake.gpu);
    const adapter = create({ transport: other }).requestAdapter();
    await turn();
    other.welcome({ filter: Uint8Array.of(0), largestBytes: 1000 });
    await expect(adapter).rejects.toMatchObject({ code: 'PROTOCOL_ERROR' });
  });

  it('the names of many contents take few bytes', async () => {
    for (const each of weights) await store.write(each.name, each.bytes);
    const { device } = await open();
    for (const each of weights) upload(device, each);
    await turn();
    expect(bytesOf(transport.up)).toBeLessThan(300);
    await transport.settle();
    expect(uploaded()).toEqual([0, 1, 2]);
  });
});
