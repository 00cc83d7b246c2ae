import { randomBytes } from 'node:crypto';
import { readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { close, create, globals, stats } from '#farlight/client/index.js';
import { tenantFolder } from '#farlight/server/contents/tenant-folders.js';
import { type TestHost, type TestHostOptions, testHost } from '#farlight/testing/index.js';
import { content, fileOf, temporaryFolders } from '../support/hosts/content-files.js';
import { until } from '../support/machine/processes.js';
import { runThroughFarlight } from '../support/programs/program.js';

const { GPUBufferUsage, GPUMapMode } = globals;

const folders = temporaryFolders();
let root: string;
let folder: string;
let hosts: TestHost[] = [];
beforeEach(() => {
  root = folders.make();
  folder = tenantFolder('default', root);
});
afterEach(async () => {
  await Promise.all(hosts.map((host) => host.close()));
  hosts = [];
  folders.remove();
});

async function start(options: TestHostOptions = {}): Promise<TestHost> {
  const host = await testHost({ adapter: 'software', contents: root, ...options });
  hosts.push(host);
  return host;
}

/** The weights of a small model: 8 tensors of 64 KiB. */
const WEIGHTS = Array.from({ length: 8 }, (_, seed) => content(seed, 1 << 16));
const BYTES = WEIGHTS.length << 16;

interface Outcome {
  /** Whether every tensor on the GPU had the right contents. */
  right: boolean;
  bytesUp: number;
  bytesNotSent: number;
}

/** A program that uploads its weights as frameworks do, and reads all of them back at the end. */
async function run(
  host: TestHost,
  { reuse = 'on', opened }: { reuse?: 'on' | 'off'; opened?: () => void } = {},
): Promise<Outcome> {
  const gpu = create({ host: host.url, reuse });
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('no device');
  opened?.();
  const target = device.createBuffer({
    size: BYTES,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
  });
  for (const [index, { bytes }] of WEIGHTS.entries()) {
    const staging = device.createBuffer({
      size: bytes.length,
      usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
    new Uint8Array(staging.getMappedRange()).set(bytes);
    staging.unmap();
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(staging, 0, target, index * bytes.length, bytes.length);
    device.queue.submit([encoder.finish()]);
    staging.destroy();
  }
  await target.mapAsync(GPUMapMode.READ);
  const read = Buffer.from(target.getMappedRange());
  const right = read.equals(Buffer.concat(WEIGHTS.map(({ bytes }) => bytes)));
  const { bytesUp, bytesNotSent } = stats(gpu);
  close(gpu);
  return { right, bytesUp, bytesNotSent };
}

/** Resolves when the host has written this many contents, which it does beside the session. */
const kept = (count: number) =>
  until(() => {
    try {
      return readdirSync(folder).filter((file) => !file.startsWith('new-')).length === count;
    } catch {
      return false;
    }
  });

const keptBytes = () =>
  readdirSync(folder).reduce((sum, file) => sum + (statSync(join(folder, file), ABSENT)?.size ?? 0), 0);

/** A file that is being written may get its name just now. */
const ABSENT = { throwIfNoEntry: false } as const;

const SENT = { right: true, bytesNotSent: 0 };
const NAMED = { right: true, bytesNotSent: BYTES };

describe('a host that keeps contents', () => {
  it('a host that keeps contents gets them once: the next session sends names', async () => {
    const host = await start();
    const first = await run(host);
    expect(first).toMatchObject(SENT);
    await kept(WEIGHTS.length);
    const second = await run(host);
    expect(second).toMatchObject(NAMED);
    expect(second.bytesUp).toBeLessThan(first.bytesUp / 50);
  });

  it('a restarted host still has its contents', async () => {
    const host = await start();
    await run(host);
    await kept(WEIGHTS.length);
    await host.close();
    expect(await run(await start())).toMatchObject(NAMED);
  });

  it('a host gets everything with reuse off, or if it keeps nothing', async () => {
    const host = await start();
    await run(host);
    await kept(WEIGHTS.length);
    const off = await run(host, { reuse: 'off' });
    expect(off).toMatchObject(SENT);
    expect(off.bytesUp).toBeGreaterThan(BYTES);
    expect(await run(await start({ contents: 'off' }))).toMatchObject(SENT);
  });

  const DAMAGES: [string, (path: string) => void][] = [
    ['are truncated', (path) => truncateSync(path, 1000)],
    ['had a bit flipped', (path) => writeFileSync(path, flipped())],
    ['are deleted', (path) => rmSync(path)],
  ];
  const damaged = WEIGHTS[3] as (typeof WEIGHTS)[0];
  function flipped(): Uint8Array {
    const bytes = damaged.bytes.slice();
    bytes[40_000] = (bytes[40_000] as number) ^ 4;
    return bytes;
  }

  it.each(DAMAGES)('a host gets contents again that %s between two sessions', async (_what, damage) => {
    const host = await start();
    await run(host);
    await kept(WEIGHTS.length);
    damage(fileOf(folder, damaged));
    expect(await run(host)).toEqual({
      right: true,
      bytesNotSent: BYTES - damaged.bytes.length,
      bytesUp: expect.any(Number),
    });
    await kept(WEIGHTS.length);
    expect(await run(host)).toMatchObject(NAMED);
  });

  it.each(DAMAGES)('a host gets contents again that %s during a session', async (_what, damage) => {
    const host = await start();
    await run(host);
    await kept(WEIGHTS.length);
    const opened = () => {
      for (const each of WEIGHTS) damage(fileOf(folder, each));
    };
    expect(await run(host, { opened })).toMatchObject(SENT);
    await kept(WEIGHTS.length);
    expect(await run(host)).toMatchObject(NAMED);
  });

  it('a host that can write nothing still serves programs', async () => {
    const file = join(root, 'no-folder');
    writeFileSync(file, '');
    const host = await start({ contents: join(file, 'contents') });
    for (let round = 0; round < 2; round += 1) expect(await run(host)).toMatchObject(SENT);
  });

  it('a host with little room still serves programs', async () => {
    const host = await start({ contentBytes: 6 << 16 });
    for (let round = 0; round < 3; round += 1) expect(await run(host)).toMatchObject({ right: true });
  });

  it('a host keeps no more for a tenant than its limit, uploads and compiled programs together', async () => {
    const contentBytes = 1 << 20;
    const host = await start({ adapter: 'null', contentBytes, spares: 0, warm: 0 });
    const takes = (path: string): number => {
      const stats = statSync(path);
      const within = stats.isDirectory() ? readdirSync(path).map((name) => takes(join(path, name))) : [];
      return within.reduce((sum, each) => sum + each, stats.isFile() ? stats.blocks * 512 : 0);
    };
    for (let round = 0; round < 4; round += 1) {
      const gpu = create({ host: host.url });
      const device = await (await gpu.requestAdapter())?.requestDevice({ label: `device ${round}` });
      for (let at = 0; at < 6; at += 1) {
        const comment = randomBytes(60_000).toString('hex');
        const module = device?.createShaderModule({
          code: `// ${comment}\n@compute @workgroup_size(1) fn main() {}`,
        });
        device?.createComputePipeline({ layout: 'auto', compute: { module: module as GPUShaderModule } });
      }
      await device?.queue.onSubmittedWorkDone();
      close(gpu);
      await until(() => host.counters.sessionsActive === 0);
    }
    await host.close();
    expect(takes(folder)).toBeGreaterThan(contentBytes / 16);
    expect(takes(folder)).toBeLessThanOrEqual(contentBytes);
  });

  it('a host serves two programs that upload the same at once', async () => {
    const host = await start({ spares: 2 });
    for (const outcome of await Promise.all([run(host), run(host)])) expect(outcome.right).toBe(true);
    await kept(WEIGHTS.length);
    expect(await run(host)).toMatchObject(NAMED);
  });
});

/** The size of MoveNet's input: a program may well have another photo each time. */
const INPUT_BYTES = 192 * 192 * 3 * 4;

it('MoveNet in a second process sends a hundredth of the bytes of the first', async () => {
  const host = await start({ adapter: 'null' });
  const upload = async () => {
    const [ledger] = (await runThroughFarlight(host.url, 'movenet')).ledger;
    return ledger as Record<'bytesUp' | 'bytesNotSent', number>;
  };
  const first = await upload();
  await until(() => keptBytes() > 0.99 * first.bytesUp);
  const second = await upload();
  const ratio = second.bytesUp / (first.bytesUp - INPUT_BYTES);
  console.log(`MoveNet: ${first.bytesUp} bytes up, then ${second.bytesUp}: ${ratio.toFixed(4)}`);
  expect(first.bytesUp).toBeGreaterThan(9e6);
  expect(second.bytesNotSent).toBeGreaterThan(9e6);
  expect(ratio).toBeLessThanOrEqual(0.01);
}, 60_000);
