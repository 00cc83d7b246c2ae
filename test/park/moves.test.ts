import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { close, create } from '#farlight/client/index.js';
import { GPUBufferUsage, GPUMapMode } from '#farlight/proto/gen/webgpu.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import type { HostView } from '#farlight/server/observatory/host-view.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { freePort } from '../support/machine/free-port.js';
import { executorsOf, killed, until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

/** How often a session is moved in the long form: npm run move. */
const MOVES = Number(process.env.FARLIGHT_MOVES ?? 0);
/** The contents of the sessions that move there, in MiB. */
const SIZES = (process.env.FARLIGHT_MOVES_MIB ?? '1,16,128').split(',').map(Number);
const BESIDE = 10;

const temporary = folders();
const opened: { close(): unknown }[] = [];

afterEach(async () => {
  delete process.env.FARLIGHT_TEST_LESS;
  for (const each of opened.splice(0).reverse()) await each.close();
  temporary.remove();
});

const LESSER_EXECUTOR = new URL('../support/hosts/lesser-executor.mjs', import.meta.url);
const { COPY_SRC, COPY_DST, MAP_READ, STORAGE } = GPUBufferUsage;

/** A host that can move sessions, and take some. */
async function host(options: Partial<DaemonOptions> = {}) {
  const { log, lines, of } = memoryLog();
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    trustFolder: temporary.make(),
    adapter: 'software',
    resumeMs: 2000,
    spares: 0,
    warm: 0,
    log,
    parking: { root: join(temporary.make(), 'parked'), idleMs: 0 },
    ...options,
  });
  opened.push(daemon);
  return { daemon, lines, count: (message: string) => of(message).length, of };
}

const STEP = `
  @group(0) @binding(0) var<storage, read_write> data: array<u32>;
  @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
    data[id.x] = data[id.x] * 1664525 + 1013904223 + id.x;
  }
`;
const WORDS = 1024;

/** A program whose state lies in a buffer, and what it should be. It has further bytes that do not change. */
async function program(url: string, mib = 0) {
  const gpu = create({ host: url });
  opened.push({ close: () => close(gpu) });
  const device = (await (await gpu.requestAdapter())?.requestDevice()) as GPUDevice;
  const errors: string[] = [];
  device.onuncapturederror = ({ error }) => void errors.push(error.message);
  let isLost = false;
  void device.lost.then(() => {
    isLost = true;
  });
  const data = device.createBuffer({ size: 4 * WORDS, usage: STORAGE | COPY_SRC });
  const copy = device.createBuffer({ size: 4 * WORDS, usage: MAP_READ | COPY_DST });
  const module = device.createShaderModule({ code: STEP });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const entries = [{ binding: 0, resource: { buffer: data } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  let expected = new Uint32Array(WORDS);
  const bytes = randomBytes(mib << 20);
  const more = device.createBuffer({ size: bytes.length, usage: COPY_SRC | COPY_DST });
  device.queue.writeBuffer(more, 0, bytes);
  return {
    device,
    errors,
    isLost: () => isLost,
    /** Whether the bytes that do not change are the same. */
    async keeps() {
      const all = device.createBuffer({ size: bytes.length, usage: MAP_READ | COPY_DST });
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(more, 0, all, 0, bytes.length);
      device.queue.submit([encoder.finish()]);
      await all.mapAsync(GPUMapMode.READ);
      const isSame = Buffer.from(all.getMappedRange()).equals(bytes);
      all.destroy();
      return isSame;
    },
    /** Computes one step, and compares all words. */
    async step() {
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(WORDS / 64);
      pass.end();
      encoder.copyBufferToBuffer(data, 0, copy, 0, 4 * WORDS);
      device.queue.submit([encoder.finish()]);
      await copy.mapAsync(GPUMapMode.READ);
      const found = new Uint32Array(copy.getMappedRange().slice(0));
      copy.unmap();
      expected = expected.map((word, at) => Math.imul(word, 1664525) + 1013904223 + at);
      return Buffer.from(found.buffer).equals(Buffer.from(expected.buffer));
    },
  };
}

/** A host in a process of its own, and what its owner may do there. */
async function hostProcess(...args: string[]) {
  const server = await ServeProcess.start('--adapter', 'software', ...args);
  opened.push({ close: () => killed(server.child) });
  const page = /dashboard: (http:\/\/\S+)/.exec(server.stdout)?.[1] ?? '';
  const move = async () => {
    const { sessions } = (await (await fetch(`${page}/host.json`)).json()) as HostView;
    await fetch(`${page}/session/move?session=${sessions[0]?.session}`, { method: 'POST' });
  };
  return { server, move };
}

/** Waits until a host has no executor. */
const isEmpty = (daemon: Daemon) => until(() => daemon.describe().sessions === 0);

describe('a session that is moved to another host', () => {
  it('goes on there with the same bits, while it computes and beside others that notice nothing', async () => {
    const there = await host({ moveFrom: 'default' });
    const here = await host({ moveTo: [there.daemon.url] });
    const others = await Promise.all([program(there.daemon.url), program(there.daemon.url)]);
    const moving = await program(here.daemon.url);
    let isOver = false;
    const beside = others.map(async ({ step }) => {
      while (!isOver) expect(await step()).toBe(true);
    });
    for (let count = 0; count < 5; count += 1) expect(await moving.step()).toBe(true);
    const moved = here.daemon.move(10_000);
    while (here.count('session moved') === 0) expect(await moving.step()).toBe(true);
    await moved;
    for (let count = 0; count < 10; count += 1) expect(await moving.step()).toBe(true);
    isOver = true;
    await Promise.all(beside);
    expect(here.of('session ended')).toMatchObject([{ code: 'MOVED', level: 'info' }]);
    expect(there.count('session arrived')).toBe(1);
    expect(there.count('session resumed')).toBe(1);
    expect(here.daemon.describe().sessions).toBe(0);
    expect(there.daemon.describe().sessions).toBe(3);
    expect([moving, ...others].flatMap(({ errors }) => errors)).toEqual([]);
  }, 60_000);

  it('over TLS needs no token of the other host, may lose its connection there, and stays where the other host has no such tenant', async () => {
    const listen = 'grpcs://127.0.0.1:0';
    const there = await host({ listen, moveFrom: 'hosts', resumeMs: 10_000 });
    const address = (token = '') => there.daemon.url.replace('://', `://${token}@`);
    const ofHosts = there.daemon.tokens?.add({ tenant: 'hosts' });
    const here = await host({ listen, moveTo: [address(ofHosts?.token)] });
    const client = here.daemon.tokens?.add({ tenant: 'one' });
    const moving = await program(here.daemon.url.replace('://', `://${client?.token}@`));
    expect(await moving.step()).toBe(true);
    await here.daemon.move(2000);
    expect(here.of('session not moved')).toMatchObject([{ why: expect.stringContaining('no tenant one') }]);
    expect(await moving.step()).toBe(true);
    there.daemon.tokens?.add({ tenant: 'one' });
    await here.daemon.move(2000);
    expect(here.of('session moved')).toMatchObject([{ to: expect.stringMatching(/^grpcs:.*\?ca=/) }]);
    expect(JSON.stringify(here.lines)).not.toContain(ofHosts?.token);
    expect(await moving.step()).toBe(true);
    await here.daemon.close();
    expect(await moving.step()).toBe(true);
    // Parking there ends the connection, so that the client shows the session's id once more.
    const parked = there.count('session parked');
    await until(() => {
      there.daemon.park();
      return there.count('session parked') > parked;
    });
    expect(await moving.step()).toBe(true);
    there.daemon.tokens?.revoke(ofHosts?.entry.id ?? '');
    await until(moving.isLost);
  }, 60_000);

  it('stays where it is, with the reason of each host in the log', async () => {
    const full = { root: join(temporary.make(), 'parked'), idleMs: 0, maxBytes: 10 };
    const others = await Promise.all([
      host({ adapter: 'null', moveFrom: 'hosts' }),
      host({ adapter: 'null' }),
      host({ adapter: 'null', moveFrom: 'default', parking: full }),
      host({ adapter: 'null', moveFrom: 'default' }),
    ]);
    const here = await host({ moveTo: others.map(({ daemon }) => daemon.url) });
    const moving = await program(here.daemon.url);
    expect(await moving.step()).toBe(true);
    await here.daemon.move(5000);
    const whys = [/hosts of the tenant hosts alone/, /--move-from/, /--park-size/, /offers less/];
    expect(here.of('session not moved')).toMatchObject(
      others.map(({ daemon }, at) => ({ to: daemon.url, why: expect.stringMatching(whys[at] as RegExp) })),
    );
    expect(await moving.step()).toBe(true);
    expect(moving.errors).toEqual([]);
    for (const { daemon } of others) await isEmpty(daemon);
  }, 60_000);

  it('lets its program end by itself there', async () => {
    const there = await host({ adapter: 'null', moveFrom: 'default' });
    const here = await host({ adapter: 'null', moveTo: [there.daemon.url] });
    const code = `
      import { create } from '#farlight/client/index.js';
      const device = await (await create({ host: process.argv[1] }).requestAdapter()).requestDevice();
      await device.queue.onSubmittedWorkDone();
      const moved = new Promise((resolve) => process.once('message', resolve));
      process.send('opened');
      await moved;
      await device.queue.onSubmittedWorkDone();
    `;
    const args = ['--input-type=module', '-e', code, here.daemon.url];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    opened.push({ close: () => child.kill() });
    await once(child, 'message');
    await here.daemon.move(10_000);
    child.send('moved');
    expect(await once(child, 'exit')).toEqual([0, null]);
    expect(there.count('session resumed')).toBe(1);
  }, 60_000);

  it('goes to the next host where the GPU of one offers less, or has less memory', async () => {
    process.env.FARLIGHT_TEST_LESS = 'timestamp-query';
    const lesser = await host({ moveFrom: 'default', executorEntry: LESSER_EXECUTOR });
    const full = await host({ moveFrom: 'default', gpuCapacity: 1 << 20 });
    const there = await host({ moveFrom: 'default' });
    const here = await host({ moveTo: [lesser, full, there].map(({ daemon }) => daemon.url) });
    const moving = await program(here.daemon.url, 2);
    expect(await moving.step()).toBe(true);
    await here.daemon.move(10_000);
    expect(here.of('session not moved')).toMatchObject([
      { to: lesser.daemon.url, why: expect.stringContaining('offers less: it has no timestamp-query') },
      { to: full.daemon.url, why: expect.stringMatching(/\d+ bytes of GPU memory are not free/) },
    ]);
    expect(here.of('session moved')).toMatchObject([{ to: there.daemon.url }]);
    expect(await moving.step()).toBe(true);
    expect(await moving.keeps()).toBe(true);
    expect(moving.errors).toEqual([]);
    for (const { daemon } of [lesser, full, here]) await isEmpty(daemon);
  }, 60_000);

  it('is one clear loss where the other host loses it, and its client comes back there', async () => {
    const listen = 'grpcs://127.0.0.1:0';
    const there = await host({ listen, moveFrom: 'hosts', resumeMs: 10_000 });
    const tokens = ['hosts', 'one'].map((tenant) => there.daemon.tokens?.add({ tenant }).token);
    const here = await host({ listen, moveTo: [there.daemon.url.replace('://', `://${tokens[0]}@`)] });
    const client = here.daemon.tokens?.add({ tenant: 'one' });
    const moving = await program(here.daemon.url.replace('://', `://${client?.token}@`));
    expect(await moving.step()).toBe(true);
    await here.daemon.move(3000);
    expect(await moving.step()).toBe(true);
    for (const pid of await executorsOf(process.pid)) process.kill(pid, 'SIGKILL');
    expect((await moving.device.lost).message).toMatch(/executor/);
  }, 60_000);
});

describe.runIf(MOVES > 0)('a session that moves to and fro at random moments', () => {
  it.each(SIZES)(
    'computes the same bits, and the sessions beside it too (%i MiB)',
    async (mib) => {
      const ports = [await freePort(), await freePort()];
      const start = (at: number) => {
        const [listen, other] = [ports[at], ports[1 - at]].map((port) => `127.0.0.1:${port}`);
        return host({ listen, moveFrom: 'default', moveTo: [`grpc://${other}`] });
      };
      const hosts = [await start(0), await start(1)] as const;
      const urls = hosts.map(({ daemon }) => daemon.url);
      const beside = await Promise.all(
        Array.from({ length: BESIDE }, (_, at) => program(urls[at % 2] ?? '')),
      );
      const moving = await program(urls[0] ?? '', mib);
      let isOver = false;
      const others = beside.map(async ({ step }) => {
        while (!isOver) {
          expect(await step()).toBe(true);
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 200));
        }
      });
      const pauses: number[] = [];
      const steps: number[] = [];
      for (let count = 0; count < MOVES; count += 1) {
        const { daemon, of } = hosts[count % 2] as (typeof hosts)[0];
        const began = of('session arrived').at(-1) ?? of('session opened').at(-1);
        let isMoving = true;
        const at = Math.random() * 300;
        const moved = (async () => {
          await new Promise((resolve) => setTimeout(resolve, at));
          await daemon.moveOne(String(began?.session));
          isMoving = false;
        })();
        let longest = 0;
        for (let after = 0; after < 3; after += isMoving ? 0 : 1) {
          const since = performance.now();
          expect(await moving.step()).toBe(true);
          const ms = performance.now() - since;
          longest = Math.max(longest, ms);
          steps.push(ms);
        }
        await moved;
        pauses.push(longest);
      }
      expect(await moving.keeps()).toBe(true);
      isOver = true;
      await Promise.all(others);
      const lines = hosts.flatMap(({ of }) => of('session moved'));
      expect(lines).toHaveLength(MOVES);
      expect([moving, ...beside].flatMap(({ errors }) => errors)).toEqual([]);
      const middle = (values: number[]) =>
        Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0);
      console.log(
        `${mib} MiB: moved ${MOVES} times with equal bits, ${middle(lines.map(({ bytes }) => Number(bytes)))} bytes; ` +
          `pause ${middle(pauses)} ms (longest ${Math.round(Math.max(...pauses))}), a step takes ${middle(steps)} ms`,
      );
    },
    120_000 + MOVES * 30_000,
  );

  it(
    'goes on with the same bits, or is one clear loss, where one of the hosts is killed',
    async () => {
      const results = new Map<string, number>();
      for (let count = 0; count < MOVES / 5; count += 1) {
        const there = await hostProcess('--move-from', 'default');
        const here = await hostProcess('--move-to', there.server.url);
        const moving = await program(here.server.url);
        expect(await moving.step()).toBe(true);
        const lost = moving.device.lost.then(({ message }) => message);
        const isMoving = here.move().catch(() => {});
        const victim = count % 2 === 0 ? here : there;
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 600));
        victim.server.child.kill('SIGKILL');
        const goesOn = async () => {
          await isMoving;
          for (let after = 0; after < 5; after += 1) expect(await moving.step()).toBe(true);
          return 'goes on';
        };
        // A step that fails is one of a lost device.
        const result = await Promise.race([lost, goesOn().catch(() => lost)]);
        const what = `${victim === here ? 'first' : 'other'} host killed: ${result.replace(/[\d.]+:\d+/g, 'HOST')}`;
        results.set(what, (results.get(what) ?? 0) + 1);
        for (const each of opened.splice(0).reverse()) await each.close();
      }
      for (const [what, times] of results) console.log(`${times} times ${what}`);
    },
    120_000 + MOVES * 60_000,
  );
});
