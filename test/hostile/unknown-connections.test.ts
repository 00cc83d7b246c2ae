import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { FarlightError } from '#farlight/proto/errors.js';
import { dataHeader, PREFACE } from '#farlight/proto/wire/packet.js';
import { FrontDoor } from '#farlight/server/daemon/door/front-door.js';
import { GrpcServer } from '#farlight/server/daemon/door/grpc-server.js';
import { OWNER } from '#farlight/server/trust/local-users.js';
import { until } from '../support/machine/processes.js';

const MOST = 6;
const MIB = 1 << 20;
const HTTP2 = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
const EMPTY = Buffer.alloc(5);
const DESCRIBE = '/farlight.v1.Host/Describe';
const CHECK = '/grpc.health.v1.Health/Check';
const OPEN = '/farlight.v1.Sessions/Open';
const WATCH = '/grpc.health.v1.Health/Watch';

let door: FrontDoor;
let server: GrpcServer;
const sockets: Socket[] = [];
const sessions: ClientHttp2Session[] = [];
afterEach(async () => {
  for (const each of [...sockets.splice(0), ...sessions.splice(0)]) each.destroy();
  door.close();
  await server.close(0);
});

/** The port of a host that admits the token `right`, with gRPC calls alone. */
async function open(greetingMs?: number): Promise<number> {
  server = new GrpcServer({
    describe: () => ({
      protocolMin: 1,
      protocolMax: 1,
      version: '',
      adapter: undefined,
      adapterProblem: '',
      gpuCapacity: 0,
      sessions: 0,
    }),
    renew: () => ({ challenge: 0, leaseMs: 0, valid: true, sessions: 0 }),
    admission: {
      admit(token) {
        if (token === 'right') return { tenant: 'default', tokenId: undefined };
        throw new FarlightError('UNAUTHORIZED', 'the host does not know this token');
      },
    },
    onRefused: () => {},
    version: '0.0.0-test',
    // Long packets, and the end.
    onSession: (connection) => {
      connection.on('error', () => {}).write(PREFACE);
      for (let i = 0; i < 4; i += 1)
        connection.write(Buffer.concat([dataHeader(1 << 20), Buffer.alloc(1 << 20)]));
      connection.resume().end();
    },
    leaveMs: 200,
  });
  door = new FrontDoor({
    near: true,
    waiting: { most: MOST, mostOfNetwork: MOST },
    firstPacketMs: greetingMs,
    userOf: async () => OWNER,
    socketMode: 0o600,
    onGrpc: (socket, user, known) => server.take(socket, user, known),
    onSessionRequest: () => {},
    onRefused: () => {},
  });
  return door.listen({ target: '', tls: false, host: '127.0.0.1', port: 0, url: () => '' });
}

/** A connection that speaks HTTP/2, and makes no call. */
async function silent(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  await new Promise((resolve) => socket.write(HTTP2, resolve));
  await new Promise<void>((resolve) => socket.once('data', () => resolve()));
  return socket.resume();
}

function connectPeer(port: number) {
  const session = connectHttp2(`http://127.0.0.1:${port}`).on('error', () => {});
  sessions.push(session);
  const call = (path: string, token?: string): ClientHttp2Stream => {
    const more = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', ...more };
    const stream = session.request(headers).on('error', () => {});
    stream.end(EMPTY);
    return stream.resume();
  };
  return { session, call };
}

/** The status of a call, `0` for success. */
function statusOf(stream: ClientHttp2Stream): Promise<unknown> {
  return new Promise((resolve) => {
    let status: unknown;
    stream.on('response', (headers) => (status = headers['grpc-status'] ?? status));
    stream.on('trailers', (headers) => (status = headers['grpc-status']));
    stream.on('close', () => resolve(status));
  });
}

describe('a gRPC connection without a token', () => {
  it('counts as unknown, whether it makes no call, is refused, or checks the health', async () => {
    const port = await open();
    const first = await silent(port);
    const refused = connectPeer(port);
    expect(await statusOf(refused.call(DESCRIBE, 'wrong'))).toBe('16');
    const healthy = connectPeer(port);
    expect(await statusOf(healthy.call(CHECK))).toBe('0');
    const closed: string[] = [];
    first.once('close', () => closed.push('first'));
    refused.session.once('close', () => closed.push('refused'));
    healthy.session.once('close', () => closed.push('healthy'));
    for (let more = 0; more < MOST; more += 1) await silent(port);
    await until(() => closed.length === 3);
    expect(closed).toEqual(['first', 'refused', 'healthy']);
  });

  it('takes no memory of the host, however much it sends', async () => {
    const port = await open();
    const { session } = connectPeer(port);
    await once(session, 'remoteSettings');
    expect(session.remoteSettings.initialWindowSize).toBe(65_535);
    const before = process.memoryUsage().arrayBuffers;
    const sent = Buffer.alloc(4 * MIB);
    const headers = { ':method': 'POST', ':path': OPEN, 'content-type': 'application/grpc' };
    for (let i = 0; i < 8; i += 1)
      session
        .request(headers)
        .on('error', () => {})
        .resume()
        .write(sent);
    // The refusal comes after a second.
    await new Promise((sending) => setTimeout(sending, 600));
    expect(process.memoryUsage().arrayBuffers - before - sent.length).toBeLessThan(4 * MIB);
  });

  it('is closed after the time for its first packet; one that has shown a token stays', async () => {
    const port = await open(300);
    const known = connectPeer(port);
    const watched = known.call(WATCH, 'right');
    await new Promise((resolve) => watched.once('data', resolve));
    // It comes last, so that the other's time is up when its own is.
    const last = await silent(port);
    await new Promise((resolve) => last.once('close', resolve));
    expect(await statusOf(known.call(DESCRIBE, 'right'))).toBe('0');
    expect(watched.closed).toBe(false);
  });

  it('is closed after a few calls, and cannot watch the health', async () => {
    const port = await open();
    expect(await statusOf(connectPeer(port).call(WATCH))).toBe('16');
    const { session, call } = connectPeer(port);
    const answered: unknown[] = [];
    for (let asked = 0; asked < 50 && !session.closed; asked += 1) answered.push(await statusOf(call(CHECK)));
    expect(answered.filter((status) => status === '0').length).toBeLessThan(20);
    expect(session.closed).toBe(true);
    const known = connectPeer(port);
    for (let asked = 0; asked < 50; asked += 1)
      expect(await statusOf(known.call(DESCRIBE, 'right'))).toBe('0');
  });
});

describe('a gRPC connection of a known client', () => {
  it('has at most a hundred open calls, which continue when more are refused', async () => {
    const port = await open();
    const { session, call } = connectPeer(port);
    expect(await statusOf(call(DESCRIBE, 'right'))).toBe('0');
    expect(session.remoteSettings.maxConcurrentStreams).toBe(100);
    const watches = Array.from({ length: 100 }, () => call(WATCH, 'right'));
    await Promise.all(watches.map((each) => new Promise((resolve) => each.once('data', resolve))));
    watches[0]?.close();
    expect(await statusOf(call(DESCRIBE, 'right'))).toBe('0');
    expect(watches.filter((each) => each.closed)).toHaveLength(1);
  });
});

describe('a session that has ended', () => {
  it('keeps no call of a client that has ended it and does not read', async () => {
    const port = await open();
    const session = connectHttp2(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 100 } });
    sessions.push(session.on('error', () => {}));
    const headers = { ':method': 'POST', ':path': OPEN, 'content-type': 'application/grpc' };
    const call = session.request({ ...headers, authorization: 'Bearer right' }).on('error', () => {});
    call.end();
    call.pause();
    await once(call, 'close');
    expect(call.rstCode).toBe(8);
  });
});
