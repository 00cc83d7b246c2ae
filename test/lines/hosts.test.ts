// Ranges of buffers between real hosts: what arrives, in which order, and how each failure is told.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  close,
  create,
  type GpuLines,
  globals,
  gpuLines,
  gpuMemory,
  type Line,
} from '#farlight/client/index.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { openLine } from '#farlight/server/daemon/door/grpc-lines.js';
import { type EmulatedLink, emulateLink, type TestHost, testHost } from '#farlight/testing/index.js';
import { DaemonProcess } from '../support/hosts/daemon-process.js';
import { secureHosts } from '../support/hosts/secure-host.js';
import { executorsOf } from '../support/machine/processes.js';

Object.assign(globalThis, globals);
/** An address at which no host listens. A host with a peer takes lines, whether it connects to any or not. */
const NOBODY = 'grpc://127.0.0.1:1';
const secured = secureHosts();
const gpus: GPU[] = [];
/** Two hosts with a GPU that computes. The second may connect to the first. */
let first: TestHost;
let second: TestHost;

beforeAll(async () => {
  first = await testHost({ peers: [NOBODY] });
  second = await testHost({ peers: [first.url] });
});

afterAll(async () => {
  for (const gpu of gpus) close(gpu);
  await Promise.all([first.close(), second.close(), secured.close()]);
});

/** A session with a device that notes its errors. */
async function open(host: string) {
  const gpu = create({ host });
  gpus.push(gpu);
  const device = await (await gpu.requestAdapter())?.requestDevice();
  if (!device) throw new Error('there is no device');
  const errors: string[] = [];
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    errors.push((event as GPUUncapturedErrorEvent).error.message);
  });
  const { COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const buffer = (size: number, usage: number = COPY_SRC | COPY_DST) => device.createBuffer({ size, usage });
  return {
    gpu,
    device,
    errors,
    lines: gpuLines(device),
    buffer,
    write: (target: GPUBuffer, words: number[]) =>
      device.queue.writeBuffer(target, 0, Uint32Array.from(words)),
    async read(source: GPUBuffer): Promise<number[]> {
      const target = buffer(source.size, COPY_DST | MAP_READ);
      const encoder = device.createCommandEncoder();
      encoder.copyBufferToBuffer(source, 0, target, 0, source.size);
      device.queue.submit([encoder.finish()]);
      await target.mapAsync(GPUMapMode.READ);
      return [...new Uint32Array(target.getMappedRange())];
    },
    done: () => device.queue.onSubmittedWorkDone(),
  };
}

type End = Awaited<ReturnType<typeof open>>;

async function join(a: End, b: End, host: string): Promise<[Line, Line]> {
  const { ticket, line } = await a.lines.accept();
  return [line, await b.lines.connect(host, ticket)];
}

async function pair(): Promise<[End, End, Line, Line]> {
  const [a, b] = [await open(first.url), await open(second.url)];
  return [a, b, ...(await join(a, b, first.url))];
}

const refused = (asked: Promise<unknown>) =>
  asked.then(
    () => 'not refused',
    (error: Error) => error.message,
  );

describe('a range', () => {
  test('is read behind earlier commands, and is there for later ones, without a wait of either program', async () => {
    const [a, b, atA, atB] = await pair();
    const [from, to] = [b.buffer(16), a.buffer(24)];
    a.write(to, [9, 9, 9, 9, 9, 9]);
    for (let step = 0; step < 3; step += 1) {
      b.write(from, [step, 1, 2, 3]);
      atB.sendRange(from, 0, 16);
      b.write(from, [7, 7, 7, 7]);
      atA.receiveRange(to, 4, 16);
      expect(await a.read(to)).toEqual([9, step, 1, 2, 3, 9]);
    }
    expect([...a.errors, ...b.errors]).toEqual([]);
  }, 60_000);

  test('goes both ways over one line, and long ranges at the same time', async () => {
    const [a, b, atA, atB] = await pair();
    const size = 3 << 20;
    const ends = [
      { end: a, line: atA, value: 1 },
      { end: b, line: atB, value: 2 },
    ];
    const results = ends.map(({ end, line, value }) => {
      const [own, other] = [end.buffer(size), end.buffer(size)];
      end.write(own, Array(size / 4).fill(value));
      line.sendRange(own, 0, size);
      line.receiveRange(other, 0, size);
      return end.read(other);
    });
    const [atFirst = [], atSecond = []] = await Promise.all(results);
    expect([new Set(atFirst), new Set(atSecond)]).toEqual([new Set([2]), new Set([1])]);
    expect([atFirst.length, atSecond.length]).toEqual([size / 4, size / 4]);
  }, 60_000);

  test('counts as GPU memory of its session until it has left', async () => {
    const [, b, , atB] = await pair();
    const from = b.buffer(8 << 20);
    await gpuMemory(b.device).resetPeak();
    atB.sendRange(from, 0, 8 << 20);
    expect((await gpuMemory(b.device).read()).peak).toBe(16 << 20);
  }, 60_000);

  test('that is no range of its buffer is an error at once', async () => {
    const [a, b, atA, atB] = await pair();
    const buffer = a.buffer(16);
    for (const [offset, size] of [
      [0, 20],
      [2, 4],
      [0, 6],
      [0, 0],
      [-4, 8],
      [16, 4],
      [0, Number.NaN],
    ] as const) {
      expect(() => atA.sendRange(buffer, offset, size)).toThrow('are no range of 16 bytes');
      expect(() => atA.receiveRange(buffer, offset, size)).toThrow('are no range of 16 bytes');
    }
    expect(() => atB.sendRange(buffer, 0, 16)).toThrow("not one of the line's device");
    await b.done();
    expect([...a.errors, ...b.errors]).toEqual([]);
  }, 60_000);

  test('of another size than was sent is an error at both ends, and both go on', async () => {
    const [a, b, atA, atB] = await pair();
    const [from, to] = [b.buffer(16), a.buffer(16)];
    atB.sendRange(from, 0, 16);
    atA.receiveRange(to, 0, 12);
    await a.done();
    expect(a.errors).toEqual([
      'GPUQueue.receiveRange: the line to another host is closed: a range of 12 bytes is received, and one of 16 bytes was sent.',
    ]);
    atB.receiveRange(from, 0, 16);
    await b.done();
    expect(b.errors.at(-1)).toMatch(
      /receiveRange: the line to another host is closed: the host or the session/,
    );
    a.write(to, [1, 2, 3, 4]);
    expect(await a.read(to)).toEqual([1, 2, 3, 4]);
  }, 60_000);

  test('that the GPU cannot read is an error at both ends', async () => {
    const [a, b, atA, atB] = await pair();
    const unreadable = b.buffer(16, GPUBufferUsage.COPY_DST);
    b.device.pushErrorScope('validation');
    atB.sendRange(unreadable, 0, 16);
    await b.done();
    atA.receiveRange(a.buffer(16), 0, 16);
    await a.done();
    expect(a.errors[0]).toContain('receiveRange: the line to another host is closed');
    await b.done();
    expect((await b.device.popErrorScope())?.message ?? b.errors.join()).toContain('CopySrc');
  }, 60_000);

  test('that does not come in time is an error in the scope that is open, and later commands go on', async () => {
    const [a, , atA] = await pair();
    const to = a.buffer(16);
    a.device.pushErrorScope('internal');
    atA.receiveRange(to, 0, 16, { timeout: 300 });
    a.write(to, [5, 6, 7, 8]);
    const error = await a.device.popErrorScope();
    expect(error?.message).toContain('nothing came within 0.3 seconds');
    expect(await a.read(to)).toEqual([5, 6, 7, 8]);
    expect(a.errors).toEqual([]);
  }, 60_000);
});

describe('a line', () => {
  test('ends at the other end too, and ranges that have come are there', async () => {
    const [a, b, atA, atB] = await pair();
    const [from, to] = [b.buffer(16), a.buffer(16)];
    b.write(from, [1, 2, 3, 4]);
    atB.sendRange(from, 0, 16);
    atB.close();
    expect(() => atB.sendRange(from, 0, 16)).toThrow('the line was closed');
    await b.done();
    atA.receiveRange(to, 0, 16);
    atA.receiveRange(to, 0, 16);
    expect(await a.read(to)).toEqual([1, 2, 3, 4]);
    expect(a.errors.length).toBe(1);
    expect(a.errors[0]).toContain('the host or the session at its other end is gone');
  }, 60_000);

  test('ends where the session at its other end ends', async () => {
    const [a, b, atA] = await pair();
    close(b.gpu);
    atA.receiveRange(a.buffer(16), 0, 16);
    await a.done();
    expect(a.errors[0]).toContain('the host or the session at its other end is gone');
  }, 60_000);

  test('needs a ticket that was not used, and a host that the owner has named', async () => {
    const [a, b] = [await open(first.url), await open(second.url)];
    const { ticket } = await a.lines.accept();
    const connect = (lines: GpuLines, host: string, shown = ticket) => refused(lines.connect(host, shown));
    expect(await connect(b.lines, first.url, 'x'.repeat(43))).toContain('does not know this ticket');
    expect(await connect(b.lines, second.url)).toContain('has not named');
    expect(await connect(a.lines, second.url)).toContain(`has not named ${second.url} as a peer`);
    await b.lines.connect(first.url, ticket);
    expect(await connect(b.lines, first.url)).toContain('does not know this ticket');
  }, 60_000);

  test('is there for no session of a host whose owner has named no peers', async () => {
    const closed = await testHost({ adapter: 'null' });
    const [a, b] = [await open(first.url), await open(closed.url)];
    const { ticket } = await a.lines.accept();
    for (const asked of [b.lines.accept(), b.lines.connect(first.url, ticket)])
      expect(await refused(asked)).toContain('farlight serve --peer');
    await expect(openLine(parseHostAddress(closed.url), ticket)).rejects.toThrow('is not a farlight host');
    close(b.gpu);
    await closed.close();
  }, 60_000);

  test('is one of at most 64 of a session', async () => {
    const a = await open(first.url);
    const lines = await Promise.all([...Array(64)].map(() => a.lines.accept()));
    expect(await refused(a.lines.accept())).toContain('at most 64 lines');
    lines[0]?.line.close();
    await a.lines.accept();
  }, 60_000);

  test('over TLS goes to the key that the owner has pinned, and to no other', async () => {
    const away = await secured.start({ peers: [NOBODY], adapter: 'null', executorEntry: undefined });
    const { url, invite } = { url: away.daemon.url, invite: away.invite().url };
    const pinned = await testHost({ adapter: 'null', peers: [url] });
    const wrong = await testHost({ adapter: 'null', peers: [url.replace(/ca=.{4}/, 'ca=AAAA')] });
    const a = await open(invite);
    const [b, c] = [await open(pinned.url), await open(wrong.url)];
    const { ticket, line } = await a.lines.accept();
    expect(await refused(c.lines.connect(url, ticket))).toContain('has another key');
    const other = await b.lines.connect(invite, ticket);
    other.sendRange(b.buffer(16), 0, 16);
    line.receiveRange(a.buffer(16), 0, 16);
    await a.done();
    expect([...a.errors, ...b.errors]).toEqual([]);
    for (const each of [a, b, c]) close(each.gpu);
    await Promise.all([pinned.close(), wrong.close()]);
  }, 60_000);
});

describe('a session', () => {
  let link: EmulatedLink;
  let far: DaemonProcess;
  let near: TestHost;

  beforeAll(async () => {
    const [daemon, url] = await DaemonProcess.start({ adapter: 'null', peers: [NOBODY] });
    far = daemon;
    link = await emulateLink({ target: url });
    near = await testHost({ adapter: 'null', peers: [link.url] });
  });

  afterAll(async () => {
    await far.kill();
    await link.close();
    await near.close();
  });

  const FAULTS = {
    killed: async () => {
      for (const pid of await executorsOf(far.pid)) process.kill(pid, 'SIGKILL');
    },
    frozen: async () => {
      for (const pid of await executorsOf(far.pid)) process.kill(pid, 'SIGSTOP');
    },
    cut: () => link.cut(),
  };

  test.each(Object.keys(FAULTS) as (keyof typeof FAULTS)[])(
    'that waits for a range gets an error where the other host is %s, and goes on',
    async (kind) => {
      const [a, b] = [await open(link.url), await open(near.url)];
      const [atA, atB] = await join(a, b, link.url);
      const to = b.buffer(16);
      atA.sendRange(a.buffer(16), 0, 16);
      atB.receiveRange(to, 0, 16);
      await b.done();
      expect(b.errors).toEqual([]);
      atB.receiveRange(to, 0, 16, { timeout: 2000 });
      await FAULTS[kind]();
      await b.done();
      expect(b.errors.length).toBe(1);
      expect(b.errors[0]).toContain('receiveRange: the line to another host is closed: ');
      if (kind === 'frozen') for (const pid of await executorsOf(far.pid)) process.kill(pid, 'SIGKILL');
      for (const each of [a, b]) close(each.gpu);
    },
    60_000,
  );
});
