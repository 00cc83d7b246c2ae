import { once } from 'node:events';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PacketDecoder } from '#farlight/link/channel/packet-decoder.js';
import { hostService, sessionsService } from '#farlight/link/grpc/host-service.js';
import { decodeObject, encodeObject, PACKET, PACKET_LIMIT, PREFACE } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { memoryLog } from '../support/hosts/memory-log.js';
import { SERVE_ALONE } from '../support/hosts/serve-process.js';
import {
  mayBeOther,
  mayServe,
  OTHER,
  OTHERS,
  ofOtherUser,
  SOCKET_PEER,
  startAsOther,
} from '../support/machine/other-user.js';
import { until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  temporary.remove();
});

async function start(options: DaemonOptions = {}) {
  const { log, of } = memoryLog();
  const daemon = await Daemon.start({
    listen: '127.0.0.1:0',
    dashboard: '127.0.0.1:0',
    executorEntry: FAKE_EXECUTOR,
    log,
    ...options,
  });
  cleanups.push(() => daemon.close());
  return { daemon, port: new URL(daemon.url).port, of };
}

const hello = Buffer.concat([PREFACE, encodeObject(PACKET.hello, HELLO)]);

/** What another user's program receives after sending these bytes, up to a given text, or until the host disconnects. */
async function heard(port: string, words: Uint8Array, last = ''): Promise<Buffer> {
  const peer = ofOtherUser(SOCKET_PEER, port, Buffer.from(words).toString('base64'), last);
  cleanups.push(() => peer.end());
  return Buffer.from(String(await peer.line()), 'base64');
}

/** The packet that a session's client receives after the preface. */
function told(bytes: Buffer): Record<string, unknown> {
  const packets: Uint8Array[] = [];
  new PacketDecoder((packet) => packets.push(packet), PACKET_LIMIT).push(bytes.subarray(PREFACE.length));
  return decodeObject((packets[0] as Uint8Array).subarray(1));
}

/** A request for a page, or for a WebSocket. */
const get = (path: string, port: string, more = 'Connection: close\r\n') =>
  Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${more}\r\n`);

/** Calls a method over gRPC with messages (base64), and prints the status and its details. */
const GRPC_PEER = `
  const client = require('node:http2').connect('http://127.0.0.1:' + process.argv[1]);
  const [, path, messages] = process.argv.slice(1);
  const call = client.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' });
  const show = (fields) => {
    if (!('grpc-status' in fields)) return;
    console.log(fields['grpc-status'] + ' ' + decodeURIComponent(fields['grpc-message'] ?? ''));
    client.close();
  };
  call.on('response', show).on('trailers', show).resume();
  call.end(Buffer.from(messages, 'base64'));
`;

async function called(
  port: string,
  { path }: { path: string },
  messages: Uint8Array[],
): Promise<string | undefined> {
  const framed = messages.flatMap((message) => {
    const header = Buffer.alloc(5);
    header.writeUInt32BE(message.length, 1);
    return [header, message];
  });
  const peer = ofOtherUser(GRPC_PEER, port, path, Buffer.concat(framed).toString('base64'));
  cleanups.push(() => peer.end());
  return peer.line();
}

const described = (port: string) => called(port, hostService().Describe, [new Uint8Array(0)]);

/** Opens and closes a session. */
const session = (port: string) => {
  const { Open } = sessionsService();
  return called(port, Open, [Open.requestSerialize({ hello: HELLO }), Open.requestSerialize({ bye: {} })]);
};

const REFUSED = new RegExp(
  `another user \\(${OTHER}\\) than the host's runs this program, .*--require-token .*--allow-local-users$`,
);

describe.runIf(mayBeOther)(`a host on loopback to another user of its machine (${OTHERS})`, () => {
  it('refuses a session, and says what to do', async () => {
    const { daemon, port, of } = await start();
    const [, status, message] = /^(\d+) (.*)$/.exec(String(await session(port))) ?? [];
    expect([status, message]).toEqual(['16', expect.stringMatching(REFUSED)]);
    expect(of('connection refused')).toMatchObject([{ code: 'UNAUTHORIZED', remote: '127.0.0.1' }]);
    expect(daemon.counters.sessionsOpened).toBe(0);
    // As older clients send it.
    expect(told(await heard(port, hello))).toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('refuses gRPC calls', async () => {
    const { port } = await start();
    const [, status, message] = /^(\d+) (.*)$/.exec(String(await described(port))) ?? [];
    expect([status, message]).toEqual(['16', expect.stringMatching(REFUSED)]);
  });

  it('refuses the dashboard, and sessions there', async () => {
    const { daemon } = await start();
    const { url } = daemon.dashboard as { url: string };
    const { port } = new URL(url);
    for (const path of ['/', '/metrics', '/host.json', '/events']) {
      const answer = String(await heard(port, get(path, port)));
      expect([path, answer]).toEqual([path, expect.stringMatching(/^HTTP\/1\.1 403 .*--allow-local-users/s)]);
    }
    const key = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEA==\r\n';
    const upgrade = get('/session', port, `Connection: upgrade\r\nUpgrade: websocket\r\n${key}`);
    // One binary message, under a mask that changes nothing.
    const frame = Buffer.concat([Buffer.from([0x82, 0xfe, 0, hello.length, 0, 0, 0, 0]), hello]);
    const answer = await heard(port, Buffer.concat([upgrade, frame]), 'UNAUTHORIZED');
    expect(String(answer)).toContain('UNAUTHORIZED');
    expect(daemon.counters.sessionsOpened).toBe(0);
    expect((await fetch(`${url}/metrics`)).status).toBe(200);
  });

  it('with --allow-local-users serves each user as a separate tenant, and shows its dashboard', async () => {
    const { daemon, port, of } = await start({ allowLocalUsers: true });
    expect(await session(port)).toMatch(/^0 /);
    expect(await described(port)).toMatch(/^0 /);
    const { port: page } = new URL((daemon.dashboard as { url: string }).url);
    expect(String(await heard(page, get('/metrics', page)))).toMatch(/^HTTP\/1\.1 200 /);
    const own = new SessionClient(remoteHost(daemon.url));
    await own.welcome;
    own.link.close();
    await own.closed;
    expect(of('session opened').map(({ tenant }) => tenant)).toEqual([`uid-${OTHER}`, 'default']);
  });

  it('requires a token from every user where it requires tokens', async () => {
    const { daemon } = await start({ requireToken: true, trustFolder: temporary.make() });
    const { port } = new URL((daemon.dashboard as { url: string }).url);
    expect(String(await heard(port, get('/metrics', port)))).toMatch(/^HTTP\/1\.1 403 /);
    expect(daemon.url).toMatch(/^grpcs:/);
  });
});

describe.runIf(mayServe)(`a host of another user (${OTHERS}, in a checkout that all may read)`, () => {
  it('is trusted by an address that names its user', async () => {
    const { child, printed } = startAsOther([...SERVE_ALONE, '--allow-local-users']);
    cleanups.push(async () => {
      const gone = once(child, 'exit');
      child.kill('SIGTERM');
      await gone;
    });
    await until(() => printed.stdout.includes('adapter:') || child.exitCode !== null);
    const [, url = ''] = /ready: (\S+)/.exec(printed.stdout) ?? [];
    expect(url, printed.stderr).toMatch(new RegExp(`^grpc://127\\.0\\.0\\.1:\\d+\\?uid=${OTHER}$`));
    const client = new SessionClient(remoteHost(url));
    expect(await client.welcome).toHaveProperty('sessionId');
    client.link.close();
    await client.closed;
    const doubtful = new SessionClient(remoteHost(url.replace(/\?.*/, '')));
    expect(await doubtful.closed).toMatchObject({
      code: 'UNTRUSTED_HOST',
      message: expect.stringContaining(`trust that user with ${url}`),
    });
  });
});

describe.runIf(process.platform === 'linux')('a host on loopback', () => {
  it('serves its own user, also at its port', async () => {
    const { daemon } = await start();
    const { url } = daemon.dashboard as { url: string };
    expect((await fetch(`${url}/host.json`)).status).toBe(200);
    const raw = new RawClient(daemon.url).hello();
    cleanups.push(() => raw.socket.destroy());
    expect(await raw.object(PACKET.welcome)).toHaveProperty('sessionId');
  });
});

describe.runIf(process.platform !== 'win32')('a host at a unix socket', () => {
  it('is open to its own user alone, or to all who may enter the folder', async () => {
    const before = process.umask(0);
    cleanups.push(() => process.umask(before));
    for (const [allowLocalUsers, mode] of [
      [false, 0o600],
      [true, 0o666],
    ] as const) {
      const path = join(temporary.make(), 'socket');
      const { daemon } = await start({ listen: `unix:${path}`, dashboard: undefined, allowLocalUsers });
      expect(statSync(path).mode & 0o777).toBe(mode);
      const client = new SessionClient(remoteHost(daemon.url));
      await client.welcome;
      client.link.close();
      await client.closed;
    }
  });
});
