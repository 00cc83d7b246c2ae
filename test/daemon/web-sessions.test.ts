import { createServer } from 'node:http';
import { type AddressInfo, createConnection } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { decodeObject, encodeObject, PACKET, PACKET_LIMIT, PREFACE } from '#farlight/proto/wire/packet.js';
import { webSessions } from '#farlight/server/daemon/door/web-sessions.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { OWNER } from '#farlight/server/trust/local-users.js';
import { HELLO } from '../support/clients/session-client.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { until } from '../support/machine/processes.js';
import { webAddress } from '../support/pages/pages.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

const daemons: Daemon[] = [];
afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon.close()));
});

async function start(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    dashboard: '127.0.0.1:0',
    executorEntry: FAKE_EXECUTOR,
    ...options,
  });
  daemons.push(daemon);
  return daemon;
}

/** The status of a handshake: 101 where the host accepts it. */
function shake(daemon: Daemon, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${webAddress(daemon)}/session`, { headers });
    socket.on('error', () => {});
    socket.on('upgrade', ({ statusCode = 0 }) => {
      socket.terminate();
      resolve(statusCode);
    });
    socket.on('unexpected-response', (_, { statusCode = 0 }) => resolve(statusCode));
  });
}

/** A client that sends these bytes, in messages of a given length; its packets, and its close. */
function say(daemon: Daemon, bytes: Uint8Array, messageBytes = bytes.length) {
  const socket = new WebSocket(`${webAddress(daemon)}/session`);
  const packets: Uint8Array[] = [];
  const decoder = new PacketDecoder((packet) => packets.push(packet.slice()), PACKET_LIMIT);
  let prefaceLeft = PREFACE.length;
  socket.on('open', () => {
    for (let at = 0; at < bytes.length; at += messageBytes)
      socket.send(bytes.subarray(at, at + messageBytes));
  });
  socket.on('message', (message: Buffer) => {
    const skip = Math.min(prefaceLeft, message.length);
    prefaceLeft -= skip;
    decoder.push(message.subarray(skip));
  });
  socket.on('error', () => {});
  return { socket, packets, closed: new Promise((resolve) => socket.on('close', resolve)) };
}

const greeting = (value: object = HELLO) => Buffer.concat([PREFACE, encodeObject(PACKET.hello, value)]);

describe('a WebSocket to a host', () => {
  it('is accepted from pages of the host and of allowed origins, and from no other page', async () => {
    const { log, of } = memoryLog();
    const daemon = await start({ log, allowOrigins: ['https://app.example', 'http://localhost:5173/'] });
    const own = new URL(webAddress(daemon).replace('ws:', 'http:')).origin;
    for (const Origin of [own, 'https://app.example', 'http://localhost:5173']) {
      expect([Origin, await shake(daemon, { Origin })]).toEqual([Origin, 101]);
    }
    for (const Origin of [
      'https://evil.example',
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
      'http://localhost:5174',
      own.replace('http', 'https'),
      'null',
      'file://',
    ]) {
      expect([Origin, await shake(daemon, { Origin })]).toEqual([Origin, 403]);
    }
    expect(of('connection refused')[0]).toMatchObject({
      code: 'UNAUTHORIZED',
      why: 'a page of https://evil.example asked for the GPU; to allow it, start the host with --allow-origin https://evil.example',
    });
    expect(daemon.counters.sessionsOpened).toBe(0);
  });

  it('is refused under a foreign host name that resolves to this machine', async () => {
    const daemon = await start();
    const { port } = new URL(webAddress(daemon));
    const Host = `evil.example:${port}`;
    expect(await shake(daemon, { Host, Origin: `http://${Host}` })).toBe(421);
  });

  it('carries a session in messages that are cut anywhere', async () => {
    const daemon = await start();
    for (const messageBytes of [1, 7, 1000]) {
      const client = say(daemon, greeting(), messageBytes);
      await until(() => client.packets.length > 0);
      expect(client.packets[0]?.[0]).toBe(PACKET.welcome);
      client.socket.close();
      await client.closed;
    }
    expect(daemon.counters.sessionsOpened).toBe(3);
  });

  it('is closed with a reason where the host refuses the session', async () => {
    const { log, of } = memoryLog();
    const daemon = await start({ log });
    const end = async (bytes: Uint8Array) => {
      const { packets, closed } = say(daemon, bytes);
      await closed;
      expect(packets.map(([kind]) => kind)).toEqual([PACKET.end]);
      return decodeObject(packets[0]?.subarray(1) ?? new Uint8Array());
    };
    expect(await end(greeting({ ...HELLO, protocolMin: 7, protocolMax: 9 }))).toMatchObject({
      code: 'VERSION_MISMATCH',
    });
    expect(await end(new TextEncoder().encode('something else'))).toMatchObject({ code: 'PROTOCOL_ERROR' });
    expect(of('connection refused')).toMatchObject([
      { code: 'VERSION_MISMATCH', remote: '127.0.0.1' },
      { code: 'PROTOCOL_ERROR', remote: '127.0.0.1' },
    ]);
    expect(daemon.counters.sessionsOpened).toBe(0);
  });

  it('slows its client down while nobody reads, and the host buffers little', async () => {
    const heard: Duplex[] = [];
    const { handler } = webSessions({
      allowed: new Set(),
      userOf: async () => OWNER,
      onRefused: () => {},
      take: (each) => heard.push(each),
    });
    const server = createServer().on('upgrade', (request, socket, head) => handler(request, socket, head));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    await new Promise((resolve) => client.once('open', resolve));
    const piece = Buffer.alloc(1 << 20, 7);
    for (let count = 0; count < 48; count += 1) client.send(piece);
    // Wait until no more bytes leave.
    for (let before = -1; before !== client.bufferedAmount || heard[0]?.readableLength === 0; ) {
      before = client.bufferedAmount;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(heard[0]?.readableLength).toBeLessThanOrEqual(2 << 20);
    expect(client.bufferedAmount).toBeGreaterThan(24 << 20);
    let bytes = 0;
    heard[0]?.on('data', (taken: Uint8Array) => {
      bytes += taken.length;
    });
    await until(() => bytes === 48 << 20);
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is closed after a message that is longer than any of a Farlight client', async () => {
    const daemon = await start();
    const client = say(daemon, new Uint8Array(3 << 20));
    expect(await client.closed).toBe(1009);
  });

  it('leaves nothing behind when it breaks off inside a message', async () => {
    const daemon = await start({ resumeMs: 0 });
    const { hostname, port } = new URL(webAddress(daemon));
    const socket = createConnection({ host: hostname, port: Number(port) });
    socket.write(
      `GET /session HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
    );
    await new Promise((resolve) => socket.once('data', resolve));
    // A binary message of 100 bytes, of which only 8 arrive.
    socket.write(Buffer.concat([Buffer.from([0x82, 0x80 | 100, 0, 0, 0, 0]), PREFACE]));
    socket.resetAndDestroy();
    const client = say(daemon, greeting());
    await until(() => client.packets.length > 0);
    expect(daemon.counters.sessionsOpened).toBe(1);
    client.socket.terminate();
    await until(() => daemon.counters.sessionsActive === 0);
  });

  it('is an error at the start where an allowed origin is not an origin', async () => {
    for (const origin of ['app.example', 'https://app.example/path', '*', 'null', 'ftp://app.example']) {
      await expect(start({ allowOrigins: [origin] })).rejects.toMatchObject({
        code: 'BAD_OPTION',
        message: expect.stringContaining(`"${origin}" is not the origin of a page`),
      });
    }
  });
});
