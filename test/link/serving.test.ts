import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { hostService, sessionsService } from '#farlight/link/grpc/host-service.js';
import { serveConnection, shutDown } from '#farlight/link/grpc/serving.js';
import type { SessionMessage } from '#farlight/link/grpc/session-messages.js';

const { Client, credentials, Server, ServerInterceptingCall } = grpc();

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

/**
 * A server that sends without an end, and its connection with a client that stops reading after the first bytes.
 *
 * @param keepaliveMs how often the server asks whether the client is there, and how long it waits for the answer.
 */
async function stopped(keepaliveMs: number) {
  const server = new Server({
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': keepaliveMs,
  });
  const call = new Promise<ServerDuplexStream<SessionMessage, SessionMessage>>((resolve) => {
    server.addService(sessionsService(), {
      Open(duplex: ServerDuplexStream<SessionMessage, SessionMessage>) {
        const flood = () => {
          while (duplex.write({ frame: Buffer.alloc(1 << 20) }));
        };
        duplex.on('drain', flood).on('error', () => {});
        flood();
        resolve(duplex);
      },
    });
  });
  const atServer = new Promise<Socket>((resolve) => {
    const listener = createServer((socket) => {
      serveConnection(server, socket, (_, call) => new ServerInterceptingCall(call));
      resolve(socket);
    }).listen(0, '127.0.0.1', () => {
      const socket = connect((listener.address() as AddressInfo).port, '127.0.0.1');
      const windows = { initialWindowSize: 2 ** 31 - 1 };
      const client = connectHttp2('http://localhost', {
        settings: windows,
        createConnection: () => socket,
      });
      client.on('error', () => {});
      client.once('remoteSettings', () => client.setLocalWindowSize(2 ** 31 - 1));
      const request = client.request({
        ':method': 'POST',
        ':path': sessionsService().Open.path,
        te: 'trailers',
        'content-type': 'application/grpc',
      });
      request.on('error', () => {});
      // HTTP/2 reads from the handle itself.
      const { _handle: handle } = socket as Socket & { _handle?: { readStop(): void } };
      request.once('data', () => setImmediate(() => handle?.readStop()));
      closing.push(() => {
        listener.close();
        socket.destroy();
      });
    });
  });
  await call;
  return { server, socket: await atServer };
}

it('closes the connection of a client that answers no ping and reads nothing', async () => {
  const { server, socket } = await stopped(200);
  await once(socket, 'close');
  await shutDown(server, 100);
});

it('ends a server whose client has stopped within its grace', async () => {
  const { server, socket } = await stopped(60_000);
  await shutDown(server, 100);
  expect(socket.destroyed).toBe(true);
});

it('finishes an open call before its server ends', async () => {
  const server = new Server();
  const asked = new Promise<void>((resolve) => {
    server.addService(hostService() as never, {
      Describe(_: unknown, reply: (error: null, host: object) => void) {
        resolve();
        // After the server was told to end.
        setTimeout(() => reply(null, { version: 'the last word' }), 100);
      },
      Echo: () => {},
      Renew: () => {},
    });
  });
  const listener = createServer((socket) =>
    serveConnection(server, socket, (_, call) => new ServerInterceptingCall(call)),
  ).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const client = new Client(
    `127.0.0.1:${(listener.address() as AddressInfo).port}`,
    credentials.createInsecure(),
  );
  closing.push(() => {
    client.close();
    listener.close();
  });
  const { path, requestSerialize, responseDeserialize } = hostService().Describe;
  const answer = new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, {}, (error, host) =>
      error ? reject(error) : resolve(host),
    );
  });
  await asked;
  await shutDown(server, 20_000);
  expect(await answer).toMatchObject({ version: 'the last word' });
});
