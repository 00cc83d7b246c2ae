import { createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { privateHost } from '#farlight/client/transport/private-host.js';
import type { Transport } from '#farlight/client/transport/transport.js';
import { dataHeader, encodeObject, encodePacket, PACKET, PREFACE } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { type MemoryPeer, memoryTransport } from '#farlight/testing/memory-transport.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { isAlive, until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();

let daemon: Daemon;
let proxy: CuttingProxy;
beforeAll(async () => {
  daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
  proxy = await CuttingProxy.start(daemon.url);
});
afterAll(async () => {
  temporary.remove();
  await proxy.close();
  await daemon.close();
});

/** An endpoint in this process that knows the two actions that need no other process. */
function memory(): Transport {
  return memoryTransport({
    adapter: { name: 'fake', vendor: 'test', architecture: 'none', software: true, driver: 'fake 1.0' },
    wgslLanguageFeatures: ['fake_feature'],
    accept: (peer: MemoryPeer) => ({
      receive(frame) {
        if (frame[0] === ACTION.echo || frame[0] === ACTION.end) peer.send(frame);
        if (frame[0] === ACTION.end) peer.end('PROTOCOL_ERROR', 'the client sent nonsense');
      },
      close() {},
    }),
  });
}

const TRANSPORTS: Record<string, () => Transport> = {
  'a connection to this machine': () => remoteHost(daemon.url),
  'a connection through a proxy': () => remoteHost(proxy.url),
  'a private host': () => privateHost({ entry: FAKE_EXECUTOR }),
  memory,
};

for (const [name, transport] of Object.entries(TRANSPORTS)) {
  describe(`a link over ${name}`, () => {
    it('a link makes no callback before its events can be expected', async () => {
      const client = new SessionClient(transport());
      client.link.send(Uint8Array.from([ACTION.echo]));
      expect(client.log).toEqual([]);
      await client.next();
      expect(client.log.slice(0, 2)).toEqual(['welcome', 'frame']);
      client.link.close();
      await client.closed;
    });

    it('a link welcomes with the adapter and the description of the host', async () => {
      const client = new SessionClient(transport());
      const { adapter, protocol, wgslLanguageFeatures } = await client.welcome;
      expect({ protocol, wgslLanguageFeatures }).toEqual({
        protocol: 3,
        wgslLanguageFeatures: ['fake_feature'],
      });
      expect(adapter).toMatchObject({ name: 'fake', software: true, driver: 'fake 1.0' });
      client.link.close();
      await client.closed;
    });

    it('a link delivers frames whole and in order, including those sent before the welcome', async () => {
      const client = new SessionClient(transport());
      const sizes = [1, 2, 100_000, 1, 70_000, 3];
      for (const [index, size] of sizes.entries()) {
        const frame = new Uint8Array(size).fill(index);
        frame[0] = ACTION.echo;
        client.link.send(frame);
      }
      for (const [index, size] of sizes.entries()) {
        const frame = await client.next();
        expect(frame.length).toBe(size);
        expect(frame.at(-1)).toBe(size === 1 ? ACTION.echo : index);
      }
      client.link.close();
      await client.closed;
    });

    it('a link asks to wait when much is under way, and tells when to go on', async () => {
      const client = new SessionClient(transport());
      await client.welcome;
      let accepted = true;
      for (let i = 0; accepted; i++) {
        expect(i).toBeLessThan(1000);
        accepted = client.link.send(new Uint8Array(1024 * 1024).fill(255));
      }
      await until(() => client.log.includes('drain'));
      client.link.close();
      await client.closed;
    });

    it('a link closes with the reason of the executor, after the replies before it', async () => {
      const client = new SessionClient(transport());
      expect([...(await client.ask(ACTION.end, 5))]).toEqual([ACTION.end, 5]);
      expect(await client.closed).toMatchObject({
        code: 'PROTOCOL_ERROR',
        message: 'the client sent nonsense',
      });
    });

    it('a link closes once, as its last event, without a reason if it was closed here', async () => {
      const client = new SessionClient(transport());
      await client.welcome;
      client.link.close();
      client.link.close();
      expect(await client.closed).toBeUndefined();
      client.link.send(Uint8Array.from([ACTION.echo]));
      client.link.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(client.log).toEqual(['welcome', 'close']);
    });
  });
}

describe('the memory transport', () => {
  it('copies frames, so that neither side sees changes of the other', async () => {
    const client = new SessionClient(memory());
    const frame = Uint8Array.from([ACTION.echo, 1]);
    client.link.send(frame);
    frame.fill(9);
    expect([...(await client.next())]).toEqual([ACTION.echo, 1]);
    client.link.close();
  });
});

describe('a private host', () => {
  it('a private host ends when its link closes', async () => {
    const client = new SessionClient(privateHost({ entry: FAKE_EXECUTOR }));
    const pid = Number(Buffer.from(await client.ask(ACTION.pid)).toString());
    client.link.close();
    await client.closed;
    expect(isAlive(pid)).toBe(false);
  });

  it('closes with a reason if a private host dies, has no GPU, or cannot be started', async () => {
    const dying = new SessionClient(privateHost({ entry: FAKE_EXECUTOR }));
    dying.link.send(Uint8Array.from([ACTION.kill]));
    expect(await dying.closed).toMatchObject({
      code: 'EXECUTOR_LOST',
      message: expect.stringMatching(/SIGKILL/),
    });
    const blind = new SessionClient(privateHost({ entry: FAKE_EXECUTOR, adapter: 'none' }));
    expect(await blind.closed).toMatchObject({
      code: 'NO_ADAPTER',
      message: 'there is no GPU here; install one',
    });
    const missing = new SessionClient(privateHost({ entry: new URL('file:///nonexistent/executor.mjs') }));
    expect(await missing.closed).toMatchObject({ code: 'EXECUTOR_LOST' });
  });

  it('closes with a reason if the GPU of a private host does not open in time, also where the program has closed it', async () => {
    const options = { entry: FAKE_EXECUTOR, adapter: 'once:/nowhere', startMs: 100 };
    const waiting = new SessionClient(privateHost(options));
    waiting.link.send(Uint8Array.of(ACTION.echo));
    expect(await waiting.closed).toMatchObject({
      code: 'NO_ADAPTER',
      message: expect.stringMatching(/has not opened its GPU within 0.1 seconds, and was ended; see /),
    });
    const closed = new SessionClient(privateHost(options));
    closed.link.close();
    expect(await closed.closed).toBeUndefined();
    for (const client of [waiting, closed]) expect(client.log).toEqual(['close']);
  });

  it('closes with a reason if a private host sends nonsense', async () => {
    const entry = new URL('../support/hosts/nonsense-executor.mjs', import.meta.url);
    expect(await new SessionClient(privateHost({ entry })).closed).toMatchObject({
      code: 'DISCONNECTED',
      message: expect.stringMatching(/connection to the GPU executor cannot go on: a packet of \d+ bytes/),
    });
  });

  it('a private host does not inherit the Node options of the program', async () => {
    const before = process.env.NODE_OPTIONS;
    process.env.NODE_OPTIONS = '--import=file:///nonexistent/preload.mjs';
    try {
      const client = new SessionClient(privateHost({ entry: FAKE_EXECUTOR }));
      await client.welcome;
      client.link.close();
      await client.closed;
    } finally {
      if (before === undefined) delete process.env.NODE_OPTIONS;
      else process.env.NODE_OPTIONS = before;
    }
  });
});

describe('a link that closes', () => {
  it('a closing link says goodbye to a host that is writing, and the host reads it', async () => {
    const goodbye = new Promise<Buffer>((resolve, reject) => {
      const server = createServer((socket) => {
        socket.on('error', reject).once('data', () => {
          socket.pause();
          socket.write(PREFACE);
          const welcome = { protocol: 3, version: '', sessionId: 'x', resumeMs: 0, wgslLanguageFeatures: [] };
          socket.write(encodeObject(PACKET.welcome, { ...welcome, adapter: { name: 'fake' } }));
          const frame = new Uint8Array(1 << 20);
          for (let i = 0; i < 15; i++) {
            socket.write(dataHeader(frame.length));
            socket.write(frame);
          }
          // It reads again when it has written everything.
          socket.write(dataHeader(1), () => socket.resume());
          const heard: Buffer[] = [];
          socket.on('data', (piece) => heard.push(piece));
          socket.pause();
          socket.on('end', () => resolve(Buffer.concat(heard)));
        });
        server.close();
      });
      const path = join(temporary.make(), 'host.sock');
      server.listen(path, async () => {
        const client = new SessionClient(remoteHost(`unix:${path}`));
        await client.welcome;
        client.link.close();
      });
    });
    expect([...(await goodbye).subarray(-5)]).toEqual([...encodePacket(PACKET.bye)]);
  });
});

describe('a host that is not there', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });
  const listen = async <T extends Server>(server: T): Promise<string> => {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    return `grpc://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const reason = (url: string) => new SessionClient(remoteHost(url)).closed;

  it('a host is UNREACHABLE at once if the connection is refused', async () => {
    const url = await listen(createServer());
    await new Promise((resolve) => servers.pop()?.close(resolve));
    const error = await reason(url);
    expect(error?.code).toBe('UNREACHABLE');
    expect(error?.message).toBe(
      `no farlight host at ${url} (ECONNREFUSED); start one there with: farlight serve`,
    );
  });

  it('a host is UNREACHABLE after five seconds if nothing answers', async () => {
    const sockets: { destroy(): void }[] = [];
    const url = await listen(createServer((socket) => sockets.push(socket)));
    expect(await reason(url)).toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/nothing answers at .* within 5 seconds.*farlight serve/),
    });
    for (const socket of sockets) socket.destroy();
  });

  it('a host is UNREACHABLE if another server answers', async () => {
    const http1 = await listen(createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const http2 = await listen(createHttp2Server((_request, response) => response.end('hello')));
    for (const url of [http1, http2]) {
      expect(await reason(url)).toMatchObject({
        code: 'UNREACHABLE',
        message: expect.stringMatching(/the server there is not a farlight host/),
      });
    }
  });
});
