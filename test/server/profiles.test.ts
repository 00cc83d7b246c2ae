import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import { decodeProfile, encodeProfile, type ProfileStep } from '#farlight/server/executor/profile.js';
import { ProfileStore } from '#farlight/server/executor/profile-store.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import { FakeGpu } from '../support/fake-gpu.js';
import { turn } from '../support/scripted-transport.js';

const STEPS: ProfileStep[] = [
  { shape: Uint8Array.of(1, 2, 3), parts: [0], payloads: [new Uint8Array(5000).fill(7)] },
  { shape: Uint8Array.of(9), parts: [0, 1, 1], payloads: [] },
];

describe('a profile', () => {
  it('comes back as it was written', () => {
    expect(decodeProfile(encodeProfile(STEPS))).toEqual(STEPS);
    expect(decodeProfile(encodeProfile([]))).toEqual([]);
  });

  it('is refused where it is cut, longer, or names what comes later', () => {
    const bytes = encodeProfile(STEPS);
    for (let end = 0; end < bytes.length; end += 97) {
      expect(() => decodeProfile(bytes.subarray(0, end))).toThrow(ProtocolError);
    }
    expect(() => decodeProfile(Uint8Array.of(...bytes, 0))).toThrow(ProtocolError);
    const later = [{ shape: Uint8Array.of(1), parts: [1], payloads: [] }];
    expect(() => decodeProfile(encodeProfile(later))).toThrow(ProtocolError);
  });

  it('leaves out what is too much, from the end', () => {
    const many = Array.from({ length: 5000 }, () => STEPS[0] as ProfileStep);
    const kept = decodeProfile(encodeProfile(many));
    expect(kept.length).toBe(4096);
    expect(kept[0]).toEqual(STEPS[0]);
  });
});

describe('profiles on disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'farlight-profiles-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('are each of one key, and the last one that was written', () => {
    const store = new ProfileStore(folder);
    store.write('a', STEPS);
    store.write('b', STEPS.slice(0, 1));
    store.write('a', []);
    expect(new ProfileStore(folder).read('a')).toEqual([]);
    expect(new ProfileStore(folder).read('b')).toEqual(STEPS.slice(0, 1));
    expect(store.read('c')).toEqual([]);
  });

  it('are as if they were not there where a byte is wrong, or the end is missing', () => {
    const store = new ProfileStore(folder);
    store.write('a', STEPS);
    const path = join(folder, readdirSync(folder)[0] as string);
    const good = readFileSync(path);
    const flipped = Buffer.from(good);
    flipped[100] = (flipped[100] as number) ^ 1;
    for (const bad of [flipped, good.subarray(0, 99), Buffer.alloc(0)]) {
      writeFileSync(path, bad);
      expect(store.read('a')).toEqual([]);
    }
    writeFileSync(path, good);
    expect(store.read('a')).toEqual(STEPS);
  });

  it('need no folder that can be written to', () => {
    const missing = new ProfileStore(join(folder, 'file', 'profiles'));
    writeFileSync(join(folder, 'file'), '');
    expect(() => missing.write('a', STEPS)).not.toThrow();
    expect(missing.read('a')).toEqual([]);
  });

  it('are bounded', () => {
    const store = new ProfileStore(folder);
    for (let count = 0; count < 300; count += 1) store.write(`program ${count}`, STEPS);
    expect(readdirSync(folder).length).toBe(256);
    expect(store.read('program 299')).toEqual(STEPS);
  });
});

describe('a host that has restarted', () => {
  const profiles = new Map<string, ProfileStep[]>();
  const memory = {
    read: (key: string) => profiles.get(key) ?? [],
    write: (key: string, steps: readonly ProfileStep[]) => void profiles.set(key, [...steps]),
  };
  beforeEach(() => profiles.clear());

  /** A session on a GPU of its own, up to its device. */
  async function session(fake: FakeGpu) {
    const owner = {};
    const encoder = new CommandEncoder(owner, 'on');
    const sent: Uint8Array[] = [];
    const executor = new ExecutorSession(
      fake.gpu,
      { send: (frame) => sent.push(frame), end: (_code, reason) => expect.fail(reason) },
      { profiles: memory },
    );
    const [root, adapter, device] = [ROOT_ID, UNMADE, UNMADE].map((id) => new Handle(id, owner)) as [
      Handle,
      Handle,
      Handle,
    ];
    const flush = () => {
      for (const frame of encoder.take()) executor.receive(frame);
    };
    const options = { featureLevel: 'core', forceFallbackAdapter: false, xrCompatible: false };
    encoder.write(OPERATIONS.GPU.requestAdapter, root, [options], adapter);
    flush();
    await turn();
    const descriptor = { label: '', requiredFeatures: [], requiredLimits: {}, defaultQueue: { label: '' } };
    encoder.write(OPERATIONS.GPUAdapter.requestDevice, adapter, [descriptor], device);
    flush();
    for (let turns = 0; turns < 10; turns += 1) await turn();
    const compile = (code: string) => {
      const [module, pipeline] = [new Handle(UNMADE, owner), new Handle(UNMADE, owner)];
      encoder.write(
        OPERATIONS.GPUDevice.createShaderModule,
        device,
        [{ label: '', code, compilationHints: [] }],
        module,
      );
      const compute = { module, constants: {} };
      const auto = { label: '', layout: 'auto', compute };
      encoder.write(OPERATIONS.GPUDevice.createComputePipeline, device, [auto], pipeline);
      flush();
    };
    return { executor, compile };
  }

  const fakeWithPipelines = () => {
    const fake = new FakeGpu();
    fake.answers.createComputePipelineAsync = () => Promise.resolve({ pipeline: 'ahead' });
    return fake;
  };
  const compiles = (fake: FakeGpu) => fake.names().filter((name) => /create(Shader|Compute)/.test(name));

  it('compiles what a program compiled the last time before it asks, and nothing twice', async () => {
    const before = new FakeGpu();
    const first = await session(before);
    const code = `// ${'long '.repeat(1000)}`;
    first.compile(code);
    expect(compiles(before)).toEqual(['GPUDevice.createShaderModule', 'GPUDevice.createComputePipeline']);
    await first.executor.retire();

    const after = fakeWithPipelines();
    const texts: string[] = [];
    after.answers.createShaderModule = (descriptor: { code: string }) => {
      texts.push(descriptor.code);
      return {};
    };
    const second = await session(after);
    const ahead = ['GPUDevice.createShaderModule', 'GPUDevice.createComputePipeline'];
    expect(compiles(after)).toEqual(ahead);
    expect(texts).toEqual([code]);
    second.compile(code);
    expect(compiles(after)).toEqual(ahead);
    second.compile('another shader');
    expect(compiles(after)).toEqual([
      ...ahead,
      'GPUDevice.createShaderModule',
      'GPUDevice.createComputePipeline',
    ]);
  });

  it('compiles equal pipelines with layouts of their own as often as the program did', async () => {
    const code = 'twice the same';
    const before = await session(new FakeGpu());
    before.compile(code);
    before.compile(code);
    await before.executor.retire();

    const after = fakeWithPipelines();
    const { compile } = await session(after);
    const twice = [
      'GPUDevice.createShaderModule',
      'GPUDevice.createComputePipeline',
      'GPUDevice.createComputePipeline',
    ];
    expect(compiles(after)).toEqual(twice);
    compile(code);
    compile(code);
    expect(compiles(after)).toEqual(twice);
  });

  it('goes on where something cannot be made any more', async () => {
    const before = await session(new FakeGpu());
    before.compile('a third one');
    await before.executor.retire();
    const fake = fakeWithPipelines();
    fake.answers.createShaderModule = () => {
      delete fake.answers.createShaderModule;
      throw new TypeError('not with this driver');
    };
    const { compile } = await session(fake);
    compile('a third one');
    expect(compiles(fake).slice(-2)).toEqual([
      'GPUDevice.createShaderModule',
      'GPUDevice.createComputePipeline',
    ]);
  });
});
