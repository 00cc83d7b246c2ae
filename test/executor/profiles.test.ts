import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandEncoder } from '#farlight/client/reuse/command-encoder.js';
import { ProtocolError } from '#farlight/proto/errors.js';
import { OPERATIONS } from '#farlight/proto/gen/operations.js';
import { Handle, ROOT_ID, UNMADE } from '#farlight/proto/wire/handle.js';
import { divide } from '#farlight/server/contents/tenant-folders.js';
import { openAhead } from '#farlight/server/executor/reuse/open-ahead.js';
import type { OpenDevice } from '#farlight/server/executor/reuse/open-device.js';
import type { Profiles } from '#farlight/server/executor/reuse/session-devices.js';
import { ExecutorSession } from '#farlight/server/executor/session.js';
import {
  type DeviceRecipes,
  decodeProfile,
  encodeProfile,
  type Profile,
  type ProfileStep,
} from '#farlight/server/profiles/profile.js';
import { newestProfiles, newestPrograms, ProfileStore } from '#farlight/server/profiles/profile-store.js';
import { turn } from '../support/clients/scripted-transport.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';

const STEPS: ProfileStep[] = [
  { shape: Uint8Array.of(1, 2, 3), parts: [0], payloads: [new Uint8Array(5000).fill(7)] },
  { shape: Uint8Array.of(9), parts: [0, 1, 1], payloads: [] },
];

const PROFILE: Profile = {
  program: 'somebody’s program.mjs',
  device: {
    adapter: { shape: Uint8Array.of(1), payloads: [] },
    device: { shape: Uint8Array.of(2, 3), payloads: [Uint8Array.of(4, 5)] },
  },
  steps: STEPS,
};
const ofSteps = (steps: readonly ProfileStep[]): Profile => ({ ...PROFILE, steps });

describe('a profile', () => {
  it('decodes to what was encoded', () => {
    expect(decodeProfile(encodeProfile(PROFILE))).toEqual(PROFILE);
    expect(decodeProfile(encodeProfile(ofSteps([])))).toEqual(ofSteps([]));
  });

  it('is refused where it is cut off, is too long, or names a later step', () => {
    const bytes = encodeProfile(PROFILE);
    for (let end = 0; end < bytes.length; end += 97) {
      expect(() => decodeProfile(bytes.subarray(0, end))).toThrow(ProtocolError);
    }
    expect(() => decodeProfile(Uint8Array.of(...bytes, 0))).toThrow(ProtocolError);
    const later = [{ shape: Uint8Array.of(1), parts: [1], payloads: [] }];
    expect(() => decodeProfile(encodeProfile(ofSteps(later)))).toThrow(ProtocolError);
  });

  it('leaves out the last steps where there are too many', () => {
    const many = Array.from({ length: 5000 }, () => STEPS[0] as ProfileStep);
    const { steps } = decodeProfile(encodeProfile(ofSteps(many)));
    expect(steps.length).toBe(4096);
    expect(steps[0]).toEqual(STEPS[0]);
  });
});

describe('profiles on disk', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'farlight-profiles-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('have one file for each key, with the newest profile', () => {
    const store = new ProfileStore(folder);
    store.write('a', PROFILE);
    store.write('b', ofSteps(STEPS.slice(0, 1)));
    store.write('a', ofSteps([]));
    expect(new ProfileStore(folder).read('a')).toEqual(ofSteps([]));
    expect(new ProfileStore(folder).read('b')).toEqual(ofSteps(STEPS.slice(0, 1)));
    expect(store.read('c')).toBeUndefined();
  });

  it('count as none where a byte is wrong, or the end is missing', () => {
    const store = new ProfileStore(folder);
    store.write('a', PROFILE);
    const path = join(folder, readdirSync(folder)[0] as string);
    const good = readFileSync(path);
    const flipped = Buffer.from(good);
    flipped[100] = (flipped[100] as number) ^ 1;
    for (const bad of [flipped, good.subarray(0, 99), Buffer.alloc(0)]) {
      writeFileSync(path, bad);
      expect(store.read('a')).toBeUndefined();
      expect([...newestProfiles([folder])]).toEqual([]);
    }
    writeFileSync(path, good);
    expect(store.read('a')).toEqual(PROFILE);
  });

  it('cause no error where their folder cannot be written', () => {
    const missing = new ProfileStore(join(folder, 'file', 'profiles'));
    writeFileSync(join(folder, 'file'), '');
    expect(() => missing.write('a', PROFILE)).not.toThrow();
    expect(missing.read('a')).toBeUndefined();
    expect([...newestProfiles([join(folder, 'file', 'profiles')])]).toEqual([]);
  });

  it('are bounded in number', () => {
    const store = new ProfileStore(folder);
    for (let count = 0; count < 300; count += 1) store.write(`program ${count}`, PROFILE);
    expect(readdirSync(folder).length).toBe(256);
    expect(store.read('program 299')).toEqual(PROFILE);
  });

  it('are bounded in bytes, and one leaves room for others', () => {
    const maxBytes = 1 << 20;
    const store = new ProfileStore(folder, maxBytes);
    const step = (fill: number) => ({
      shape: Uint8Array.of(fill),
      parts: [0],
      payloads: [new Uint8Array(1 << 16).fill(fill)],
    });
    for (let count = 0; count < 40; count += 1) {
      store.write(`program ${count}`, ofSteps(Array.from({ length: 64 }, (_, at) => step(at))));
    }
    const sizes = readdirSync(folder).map((name) => statSync(join(folder, name)).size);
    expect(sizes.length).toBeGreaterThan(2);
    expect(sizes.reduce((sum, size) => sum + Math.ceil(size / 4096) * 4096)).toBeLessThanOrEqual(maxBytes);
    expect(store.read('program 39')?.steps.slice(0, 3)).toEqual([step(0), step(1), step(2)]);
    expect(store.read('program 0')).toBeUndefined();
  });

  it('share their tenant’s bytes with its contents and the driver’s shaders', () => {
    for (const bytes of [0, 1, 1000, 1 << 20, 4 * 2 ** 30]) {
      const { contents, profiles, shaders } = divide(bytes);
      expect(contents + profiles + shaders).toBe(bytes);
      expect(contents).toBeGreaterThanOrEqual(bytes / 2);
    }
  });

  it('name their program in their first bytes, whatever else a tenant has put there', () => {
    const store = new ProfileStore(folder);
    const nameOf = (write: () => void) => {
      const before = new Set(readdirSync(folder));
      write();
      return join(folder, readdirSync(folder).find((name) => !before.has(name)) as string);
    };
    const good = nameOf(() => store.write('a', { ...PROFILE, program: 'good' }));
    const spoilt = nameOf(() => store.write('b', { ...PROFILE, program: 'spoilt' }));
    writeFileSync(spoilt, readFileSync(spoilt).subarray(0, 100));
    const large = nameOf(() => store.write('c', { ...PROFILE, program: 'large' }));
    nameOf(() => store.write('d', { ...PROFILE, program: 'n'.repeat(5000) }));
    truncateSync(large, 2 ** 40);
    const other = (digit: string) => join(folder, digit.repeat(64));
    symlinkSync(good, other('1'));
    mkdirSync(other('2'));
    spawnSync('mkfifo', [other('3')]);
    writeFileSync(other('4'), Buffer.alloc(40, 255));
    const programs = [...newestPrograms([folder, join(folder, 'none')])].map(({ program }) => program);
    expect(programs.sort()).toEqual(['good', 'spoilt']);
    // The rest is checked where it is used.
    expect([...newestProfiles([folder])].map(({ profile }) => profile.program).sort()).toEqual([
      'good',
      'n'.repeat(5000),
    ]);
  });

  it('are found newest first, in several folders', () => {
    const [one, other] = [join(folder, 'one'), join(folder, 'other')];
    const write = (where: string, program: string, hour: number) => {
      const before = new Set(existsSync(where) ? readdirSync(where) : []);
      new ProfileStore(where).write(program, { ...PROFILE, program });
      const [name] = readdirSync(where).filter((file) => !before.has(file));
      utimesSync(join(where, name as string), new Date(), Date.UTC(2026, 0, 1, hour) / 1000);
    };
    write(one, 'a', 3);
    write(other, 'b', 5);
    write(one, 'c', 4);
    const found = [...newestProfiles([one, other, join(folder, 'none')])];
    expect(found.map((each) => [each.folder, each.profile.program])).toEqual([
      [other, 'b'],
      [one, 'c'],
      [one, 'a'],
    ]);
  });
});

describe('a host that has restarted', () => {
  const profiles = new Map<string, { recipes: DeviceRecipes; steps: readonly ProfileStep[] }>();
  const memory: Profiles = {
    read: ({ key }) => profiles.get(key)?.steps ?? [],
    write: ({ key, recipes }, steps) => void profiles.set(key, { recipes, steps: [...steps] }),
  };
  const recipes = () => [...profiles.values()].map((each) => each.recipes);
  beforeEach(() => profiles.clear());

  /** Opens a session on its own GPU, with these `free` devices, and asks for a device. */
  async function session(fake: FakeGpu, free?: OpenDevice[], featureLevel = 'core') {
    const owner = {};
    const encoder = new CommandEncoder(owner, 'on');
    const sent: Uint8Array[] = [];
    const executor = new ExecutorSession(
      fake.gpu,
      { send: (frame) => sent.push(frame), end: (_code, reason) => expect.fail(reason) },
      { profiles: memory, free },
    );
    const [root, adapter, device] = [ROOT_ID, UNMADE, UNMADE].map((id) => new Handle(id, owner)) as [
      Handle,
      Handle,
      Handle,
    ];
    const flush = () => {
      for (const frame of encoder.take()) executor.receive(frame);
    };
    const options = { featureLevel, forceFallbackAdapter: false, xrCompatible: false };
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

  /** Runs an earlier session that compiles these. */
  async function compiledBefore(...codes: string[]) {
    const { compile, executor } = await session(new FakeGpu());
    for (const code of codes) compile(code);
    await executor.handOver();
  }

  const fakeWithPipelines = () => {
    const fake = new FakeGpu();
    fake.answers.createComputePipelineAsync = () => Promise.resolve({ pipeline: 'ahead' });
    return fake;
  };
  const compiles = (fake: FakeGpu) => fake.names().filter((name) => /create(Shader|Compute)/.test(name));

  it('compiles what the program compiled the last time before it asks, and nothing twice', async () => {
    const before = new FakeGpu();
    const first = await session(before);
    const code = `// ${'long '.repeat(1000)}`;
    first.compile(code);
    expect(compiles(before)).toEqual(['GPUDevice.createShaderModule', 'GPUDevice.createComputePipeline']);
    await first.executor.handOver();

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

  it('compiles equal pipelines with their own layouts as often as the program did', async () => {
    const code = 'twice the same';
    await compiledBefore(code, code);

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

  it('compiles ahead for a program that has not come yet, which then compiles nothing', async () => {
    await compiledBefore('ahead');

    const fake = fakeWithPipelines();
    const { devices, compiled } = await openAhead(fake.gpu, recipes(), memory);
    await compiled;
    const ahead = ['GPUDevice.createShaderModule', 'GPUDevice.createComputePipeline'];
    expect(compiles(fake)).toEqual(ahead);
    const { compile, executor } = await session(fake, devices);
    compile('ahead');
    expect(compiles(fake)).toEqual(ahead);
    expect(await executor.handOver()).toHaveLength(1);
  });

  it('gives pipelines that still compile ahead to the program that comes meanwhile', async () => {
    await compiledBefore('slow');

    const fake = fakeWithPipelines();
    const { devices, compiled } = await openAhead(fake.gpu, recipes(), memory);
    const { compile } = await session(fake, devices);
    compile('slow');
    await compiled;
    expect(compiles(fake).filter((name) => name.endsWith('Pipeline'))).toHaveLength(1);
  });

  it('opens no device of another GPU ahead, and none twice', async () => {
    await compiledBefore('ahead');
    const twice = [...recipes(), ...recipes()];
    expect((await openAhead(new FakeGpu().gpu, twice, memory)).devices).toHaveLength(1);
    const other = new FakeGpu('another GPU');
    expect((await openAhead(other.gpu, twice, memory)).devices).toEqual([]);
    expect(other.names()).toEqual([]);
  });

  it('ignores recipes that a newer version wrote', async () => {
    await compiledBefore('ahead');
    const [good] = recipes();
    const unknown = { shape: Uint8Array.of(255, 1), payloads: [] };
    const bad = { adapter: unknown, device: unknown };
    const { devices } = await openAhead(new FakeGpu().gpu, [bad, good as DeviceRecipes], memory);
    expect(devices).toHaveLength(1);
  });

  it('gives no open device to a program that asks for an adapter of another feature level', async () => {
    const first = await session(new FakeGpu(), undefined, 'compatibility');
    first.compile('compatible');
    const free = await first.executor.handOver();
    const fake = fakeWithPipelines();
    const { compile } = await session(fake, free, 'core');
    compile('compatible');
    expect(compiles(fake)).toEqual(['GPUDevice.createShaderModule', 'GPUDevice.createComputePipeline']);
  });

  it('goes on where a step fails', async () => {
    await compiledBefore('a third one');
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
