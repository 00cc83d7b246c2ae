import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { GPUBufferUsage } from '#farlight/proto/gen/webgpu.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { grpcLine, RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { parkingHosts, readWords } from '../support/hosts/parking-host.js';
import { executorsOf, until } from '../support/machine/processes.js';

const { temporary, opened, open, start, closeAll } = parkingHosts();

const { COPY_SRC, COPY_DST } = GPUBufferUsage;
const LESSER_EXECUTOR = new URL('../support/hosts/lesser-executor.mjs', import.meta.url);

afterEach(() => {
  delete process.env.FARLIGHT_TEST_LESS;
});

describe('a parked session', () => {
  it('is still stored where the executor dies that brings it back, and is one clear loss where the next one dies too', async () => {
    for (const deaths of [1, 2]) {
      const { device, park, files } = await start({ spares: 0 });
      const data = device.createBuffer({ size: 16, usage: COPY_SRC | COPY_DST });
      device.queue.writeBuffer(data, 0, Uint32Array.of(5, 6, 7, 8));
      await device.queue.onSubmittedWorkDone();
      const before = new Set(await executorsOf(process.pid));
      await park();
      const words = readWords(device, data).catch(() => undefined);
      for (let left = deaths; left > 0; ) {
        for (const pid of await executorsOf(process.pid)) {
          if (before.has(pid) || left === 0) continue;
          before.add(pid);
          process.kill(pid, 'SIGKILL');
          left -= 1;
        }
      }
      if (deaths === 1) expect(await words).toEqual([5, 6, 7, 8]);
      else expect((await device.lost).message).toMatch(/executor/);
      await until(() => files().length === 0);
      await closeAll();
    }
  });

  it('is one clear loss where its file is damaged or gone, and takes nothing else', async () => {
    for (const spoil of [
      (path: string) => rmSync(path),
      (path: string) => {
        const bytes = readFileSync(path);
        bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
        writeFileSync(path, bytes);
      },
    ]) {
      const { device, park, files } = await start({ adapter: 'null' });
      await park();
      for (const path of files()) spoil(path);
      void device.queue.onSubmittedWorkDone().catch(() => {});
      expect((await device.lost).message).toMatch(/parked session could not come back/);
      await until(() => files().length === 0);
    }
  });

  it.each([
    ['timestamp-query', /it has no timestamp-query/],
    ['maxBufferSize', /its maxBufferSize is \d+, and \d+ is needed/],
  ])(
    'is one clear loss where the GPU is another one when it comes back, with less %s, and its host goes on',
    async (less, reason) => {
      const { daemon, device, park, files, of } = await start({
        adapter: 'null',
        spares: 0,
        executorEntry: LESSER_EXECUTOR,
      });
      await park();
      process.env.FARLIGHT_TEST_LESS = less;
      void device.queue.onSubmittedWorkDone().catch(() => {});
      const { message } = await device.lost;
      expect(message).toMatch(/parked session could not come back: the adapter here offers less/);
      expect(message).toMatch(reason);
      await until(() => files().length === 0 && of('session ended').length > 0);
      expect(JSON.stringify(of('session ended'))).toMatch(reason);
      const other = await open(daemon.url);
      await other.device.queue.onSubmittedWorkDone();
    },
  );

  it('stays at work where the store is full', async () => {
    const { daemon, device, lines, count, files } = await start({ adapter: 'null', maxBytes: 100 });
    await until(() => {
      daemon.park();
      return count('session not parked') > 0;
    });
    expect(JSON.stringify(lines)).toContain('100 bytes that are left for parked sessions');
    await until(() => files().length === 0);
    await device.queue.onSubmittedWorkDone();
  });

  it('is removed when its program ends it, stays away, or leaves it too long', async () => {
    const closing = await start({ adapter: 'null' });
    await closing.park();
    closing.end();
    await until(() => closing.files().length === 0);
    expect(closing.count('session ended')).toBe(1);
    const expiring = await start({ adapter: 'null', keepMs: 300 });
    await expiring.park();
    expect((await expiring.device.lost).message).toMatch(/parked for .* hours/);
    expect(expiring.files()).toEqual([]);
    await expiring.daemon.close();
    expect(existsSync(expiring.root) && readdirSync(expiring.root)).toEqual([]);
  });

  it('waits for a place where others have taken all of them, and goes on when one is free', async () => {
    const { daemon, device, park, count } = await start({ adapter: 'null', maxSessions: 1 });
    await park();
    const other = await open(daemon.url);
    await other.device.queue.onSubmittedWorkDone();
    const done = device.queue.onSubmittedWorkDone();
    await until(() => count('parked session waits for a place') > 0);
    other.end();
    await done;
    expect(count('session back')).toBe(1);
  });

  it('is one clear loss where no place becomes free for as long as it may be parked', async () => {
    const { daemon, device, park } = await start({ adapter: 'null', maxSessions: 1, keepMs: 3000 });
    await park();
    await open(daemon.url);
    void device.queue.onSubmittedWorkDone().catch(() => {});
    expect((await device.lost).message).toMatch(/waited .* for a place among the host's sessions/);
  });

  it('leaves no file where its executor dies while it stores it, and is one clear loss', async () => {
    const { daemon, device, files, count } = await start({ spares: 0 });
    const bytes = 64 << 20;
    const data = device.createBuffer({ size: bytes, usage: COPY_SRC | COPY_DST });
    device.queue.writeBuffer(data, 0, new Uint8Array(bytes).fill(7));
    await device.queue.onSubmittedWorkDone();
    await until(() => {
      daemon.park();
      return files().length > 0;
    });
    for (const pid of await executorsOf(process.pid)) process.kill(pid, 'SIGKILL');
    expect((await device.lost).message).toMatch(/executor/);
    expect(count('session parked')).toBe(0);
    await until(() => files().length === 0);
  });

  it('is one clear loss where its host is killed, and the next host removes its file', async () => {
    const root = join(temporary.make(), 'parked');
    const parking = { root, idleMs: 200 };
    const [host, url] = await DaemonProcess.start({
      adapter: 'null',
      parking,
      resumeMs: 1000,
      spares: 0,
      warm: 0,
    });
    opened.push({ close: () => host.kill().catch(() => {}) });
    const { device } = await open(url);
    const files = () => readdirSync(root).flatMap((folder) => readdirSync(join(root, folder)));
    await until(() => files().length > 0);
    while ((await executorsOf(host.pid)).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await host.kill();
    void device.queue.onSubmittedWorkDone().catch(() => {});
    expect((await device.lost).message).toMatch(/host|connection/);
    const next = await Daemon.start({ listen: '127.0.0.1:0', adapter: 'null', parking: { root, idleMs: 0 } });
    opened.push(next);
    expect(files()).toEqual([]);
  });

  it("does not exist for another tenant's client", async () => {
    const { daemon, count } = await start({
      adapter: 'null',
      listen: 'grpcs://127.0.0.1:0',
      trustFolder: temporary.make(),
    });
    const as = (tenant: string) => {
      const token = daemon.tokens?.add({ tenant }).token as string;
      return { token, url: daemon.url.replace('://', `://${token}@`) };
    };
    const own = new SessionClient(remoteHost(as('one').url));
    const { sessionId } = await own.welcome;
    await daemon.parkOne(sessionId);
    const { token, url } = as('other');
    const stranger = new RawClient(grpcLine(url)).greet(PACKET.resume, {
      sessionId,
      taken: 0,
      attempt: 9,
      token,
    });
    expect(await stranger.object(PACKET.end)).toMatchObject({
      message: expect.stringMatching(/does not know/),
    });
    expect(count('session ended')).toBe(0);
    own.link.close();
  });
});
