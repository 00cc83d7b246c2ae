import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { parseOptions } from '#farlight/client/options.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { privateHost } from '#farlight/client/transport/private-host.js';
import {
  type CompressionMode,
  grantCompression,
  grantedCompression,
} from '#farlight/proto/session/compression.js';
import { encodePacket, PACKET, PREFACE } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { type SlowLine, slowLine } from '../support/lines/slow-line.mjs';
import { until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

let daemon: Daemon;
const lines: SlowLine[] = [];
beforeAll(async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
});
afterEach(() => {
  for (const line of lines.splice(0)) line.close();
});
afterAll(() => daemon.close());

async function lineOf(megabits: number): Promise<SlowLine> {
  const line = await slowLine(Number(daemon.url.split(':').at(-1)), { megabits });
  lines.push(line);
  return line;
}

async function openOver(line: SlowLine, mode: CompressionMode | 'off'): Promise<SessionClient> {
  const client = new SessionClient(remoteHost(line.url, { compression: mode }));
  await client.welcome;
  return client;
}

const FRAME = 256 << 10;

/** Frames that the executor echoes as digests. */
function frames(count: number, byteAt: (index: number) => number): Uint8Array<ArrayBuffer>[] {
  return Array.from({ length: count }, (_each, number) => {
    const frame = new Uint8Array(FRAME).map((_byte, index) => byteAt(number * FRAME + index));
    frame[0] = ACTION.digest;
    return frame;
  });
}

let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0;
  return seed >>> 24;
};

/** Weights as a framework sends them: 32-bit floats that were converted from 16-bit ones. */
function weights(count: number): Uint8Array<ArrayBuffer>[] {
  const floats = new Float32Array((count * FRAME) / 4).map(() => Math.round((random() - 128) * 8) / 2048);
  const bytes = new Uint8Array(floats.buffer);
  return frames(count, (index) => bytes[index] ?? 0);
}
const text = (count: number) =>
  frames(count, (index) => 97 + ((index * index) % 7) + (index % 11 === 0 ? random() & 3 : 0));
const zeros = (count: number) => frames(count, () => 0);

/** Sends all frames at once. Resolves when all had the right reply. */
async function upload(client: SessionClient, given: readonly Uint8Array<ArrayBuffer>[]): Promise<void> {
  const digests = given.map((frame) => createHash('sha256').update(frame).digest('hex'));
  for (const frame of given) client.link.send(frame.slice());
  for (const digest of digests) expect(Buffer.from(await client.next()).toString('hex')).toBe(digest);
}

async function close(client: SessionClient): Promise<void> {
  client.link.close();
  expect(await client.closed).toBeUndefined();
}

describe('on a line of 10 Mbit/s', () => {
  it('weights, text and zeros arrive unchanged, in fewer bytes than without compression', async () => {
    const line = await lineOf(10);
    const given = [...weights(4), ...text(4), ...zeros(4)];
    const sent: Record<string, number> = {};
    for (const mode of ['off', 'auto'] as const) {
      const client = await openOver(line, mode);
      const before = line.counted.up;
      await upload(client, given);
      sent[mode] = line.counted.up - before;
      if (mode === 'off') expect(client.link.saved).toEqual({ up: 0, down: 0 });
      else expect(client.link.saved?.up).toBeGreaterThan(4 * FRAME);
      await close(client);
    }
    expect(sent.auto).toBeLessThan(0.75 * (sent.off ?? 0));
  });

  it('random data stays as long as without compression, and detecting it takes at most 3% of its time', async () => {
    const line = await lineOf(10);
    const given = frames(8, random);
    const onTheLineMs = (8 * FRAME * 8) / 10_000;
    /** Milliseconds of CPU, of the client and of the part that both share here. The least of several. */
    const work = { off: Number.POSITIVE_INFINITY, auto: Number.POSITIVE_INFINITY };
    const isLittle = () => work.auto - work.off < 0.03 * onTheLineMs;
    for (let round = 0; round < 2 || (round < 6 && !isLittle()); round++) {
      for (const mode of ['off', 'auto'] as const) {
        const client = await openOver(line, mode);
        const [before, from] = [line.counted.up, process.cpuUsage()];
        await upload(client, given);
        const { user, system } = process.cpuUsage(from);
        work[mode] = Math.min(work[mode], (user + system) / 1000);
        expect(client.link.saved?.up).toBe(0);
        expect(line.counted.up - before).toBeLessThan(1.001 * 8 * FRAME);
        await close(client);
      }
    }
    expect(isLittle(), `${JSON.stringify(work)} ms, of ${onTheLineMs} on the line`).toBe(true);
  });

  it('compresses an input that is sent alone, from the second time on', async () => {
    const line = await lineOf(10);
    const client = await openOver(line, 'auto');
    const passed: number[] = [];
    for (const frame of text(5)) {
      const before = line.counted.up;
      await upload(client, [frame]);
      passed.push(line.counted.up - before);
    }
    const [first = 0, ...others] = passed;
    expect(first).toBeGreaterThan(FRAME);
    expect(Math.max(...others)).toBeLessThan(0.6 * first);
    await close(client);
  });

  it('compressed frames under way on a lost connection arrive over the next one', async () => {
    const line = await lineOf(10);
    const client = await openOver(line, 'on');
    const before = line.counted.up;
    const uploading = upload(client, weights(12));
    for (const part of [1, 2]) {
      await until(() => line.counted.up > before + part * 3 * FRAME * 0.3);
      line.cut();
    }
    await uploading;
    expect(client.link.saved?.up).toBeGreaterThan(4 * FRAME);
    await close(client);
  });
});

describe('frames from the host', () => {
  it('compresses frames from the host, too', async () => {
    const line = await lineOf(10);
    const client = await openOver(line, 'auto');
    client.link.send(Uint8Array.from([ACTION.flood]));
    for (let i = 0; i < 64; i++) {
      const frame = await client.next();
      expect([frame.length, frame[0], frame.at(-1)]).toEqual([1 << 20, i, i]);
    }
    expect(client.link.saved?.down).toBeGreaterThan(32 << 20);
    expect(line.counted.down).toBeLessThan(32 << 20);
    await close(client);
  });
});

describe('no compression', () => {
  // On a machine whose cores are all busy, loopback is sometimes a slow line.
  it('does not compress over loopback, behind a proxy there', { retry: 3 }, async () => {
    const proxy = await CuttingProxy.start(daemon.url);
    const client = new SessionClient(remoteHost(proxy.url));
    await client.welcome;
    await upload(client, text(64));
    expect(client.link.saved).toEqual({ up: 0, down: 0 });
    await close(client);
    await proxy.close();
  });

  it('does not compress for a host on this machine or a private one, even if asked to', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'farlight-unix-'));
    const listen = `unix:${join(folder, 'host.sock')}`;
    const near = await Daemon.start({ listen, executorEntry: FAKE_EXECUTOR });
    try {
      for (const transport of [
        remoteHost(near.url, { compression: 'on' }),
        remoteHost(daemon.url, { compression: 'on' }),
        privateHost({ entry: FAKE_EXECUTOR }),
      ]) {
        const client = new SessionClient(transport);
        expect((await client.welcome).compression).toBeUndefined();
        await upload(client, text(8));
        expect(client.link.saved).toBeUndefined();
        await close(client);
      }
    } finally {
      await near.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  it('does not compress for a client that did not ask, and rejects compressed frames from it', async () => {
    const client = new RawClient(daemon.url).hello();
    expect(await client.object(PACKET.welcome)).not.toHaveProperty('compression');
    client.socket.write(encodePacket(PACKET.packed, packed(1, Uint8Array.from([ACTION.echo]))));
    expect(await client.object(PACKET.end)).toMatchObject({ code: 'PROTOCOL_ERROR' });
  });
});

/** The body of a packet that announces `length` bytes. */
function packed(length: number, content: Uint8Array): Uint8Array {
  const header = Buffer.alloc(4);
  header.writeUInt32LE(length);
  return Buffer.concat([header, brotliCompressSync(content)]);
}

describe('a client with compression', () => {
  const asking = { ...HELLO, compression: { mode: 'on', encodings: ['snappy', 'brotli'] } };
  const opened = async () => {
    const client = new RawClient(daemon.url);
    client.socket.write(PREFACE);
    client.say(PACKET.hello, asking);
    expect(await client.object(PACKET.welcome)).toMatchObject({
      compression: { mode: 'on', encoding: 'brotli' },
    });
    return client;
  };

  it('a client that was granted compression may send compressed frames', async () => {
    const client = await opened();
    client.socket.write(encodePacket(PACKET.packed, packed(3, Uint8Array.from([ACTION.echo, 7, 8]))));
    expect([...(await client.next(PACKET.data))]).toEqual([ACTION.echo, 7, 8]);
    client.socket.destroy();
  });

  it.each([
    ['a frame that unpacks to more than its limit', () => packed(1 << 20, new Uint8Array(8 << 20))],
    ['a frame that announces too many bytes', () => packed((1 << 20) + 1, new Uint8Array((1 << 20) + 1))],
    ['garbage', () => Buffer.from('\x10\0\0\0garbage, no brotli stream at all', 'latin1')],
    ['nothing', () => new Uint8Array(0)],
  ])('rejects %s with a reason', async (_what, body) => {
    const client = await opened();
    client.socket.write(encodePacket(PACKET.packed, body()));
    expect(await client.object(PACKET.end)).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: expect.stringMatching(/packed frame/),
    });
  });
});

describe('agreement on compression', () => {
  it('both sides agree on the compression that the client asks for, if the host knows it', () => {
    const granted = { mode: 'auto', encoding: 'brotli' };
    expect(grantCompression({ mode: 'auto', encodings: ['brotli'] })).toEqual(granted);
    for (const asked of [undefined, null, 1, {}, { mode: 'auto', encodings: ['zstd'] }]) {
      expect(grantCompression(asked)).toBeUndefined();
    }
    for (const asked of [
      { mode: 'fast', encodings: ['brotli'] },
      { mode: 'on', encodings: 'brotli' },
    ]) {
      expect(grantCompression(asked)).toBeUndefined();
    }
  });

  it('refuses a host that grants compression unasked', () => {
    const asked = { mode: 'auto' as const, encodings: ['brotli'] };
    expect(grantedCompression(undefined, asked)).toBeUndefined();
    expect(grantedCompression({ mode: 'auto', encoding: 'brotli' }, asked)).toEqual({
      mode: 'auto',
      encoding: 'brotli',
    });
    for (const granted of [
      null,
      'brotli',
      { mode: 'on', encoding: 'brotli' },
      { mode: 'auto', encoding: 'zstd' },
    ]) {
      expect(() => grantedCompression(granted, asked)).toThrow(/not asked for/);
    }
    expect(() => grantedCompression({ mode: 'auto', encoding: 'brotli' }, undefined)).toThrow(
      /not asked for/,
    );
  });

  it("the compression option is 'auto', 'on' or 'off', as an option, a flag or in the environment", () => {
    for (const options of [{ compression: 'on' as const }, ['compression=off'], {}]) parseOptions(options);
    expect(() => parseOptions(['compression=fast'])).toThrow(
      "The option compression is 'auto', 'on' or 'off', not 'fast'.",
    );
  });
});
