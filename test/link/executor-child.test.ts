import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { ExecutorChild } from '#farlight/link/executor/executor-child.js';
import { deferred } from '#farlight/link/machine/deferred.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

it('closes a connection on its way to a dying executor, so that the client comes back', async () => {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1').on('error', () => {});
  const closed = new Promise((resolve) => client.resume().once('close', resolve));
  const socket = await accepted;
  const [ready, exited] = [deferred<void>(), deferred<unknown>()];
  const child = new ExecutorChild(
    { adapter: 'null', entry: FAKE_EXECUTOR },
    { onReady: () => ready.resolve(), onExit: exited.resolve },
  );
  await ready.promise;
  // It reads nothing any more, and has not exited yet.
  process.kill(child.pid ?? 0, 'SIGSTOP');
  child.resume({ taken: 0, attempt: 1 }, socket, new Uint8Array(0));
  await new Promise((resolve) => setImmediate(resolve));
  process.kill(child.pid ?? 0, 'SIGKILL');
  expect(await exited.promise).toMatchObject({ code: 'EXECUTOR_LOST' });
  await closed;
  // The server does not wait for a connection that it has handed over.
  await new Promise((resolve) => server.close(resolve));
});

it('an executor leaves no record on the server whose connections it was given', async () => {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  for (let time = 0; time < 3; time += 1) {
    const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
    const client = connect(port, '127.0.0.1').on('error', () => {});
    const socket = await accepted;
    const exited = new Promise<void>((resolve) => {
      const child = new ExecutorChild(
        { adapter: 'auto', entry: FAKE_EXECUTOR },
        {
          onReady: () => {
            const welcome = { protocol: 3, version: 'test', sessionId: 'test', resumeMs: 0 };
            child.begin({ program: 'test', welcome }, socket);
            client.once('data', () => child.kill());
          },
          onExit: () => resolve(),
        },
      );
    });
    await exited;
    client.destroy();
  }
  // A record that net keeps for each process with one of the server's connections, while the server listens.
  expect((server as unknown as { _workers: unknown[] })._workers).toHaveLength(0);
  expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0);
  server.close();
});

it('an executor whose session ends while it is brought back exits, and serves no other session', async () => {
  const server = createServer({ pauseOnConnect: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  const socket = await accepted;
  const heard: unknown[] = [];
  const reason = await new Promise((resolve) => {
    const child = new ExecutorChild(
      { adapter: 'auto', entry: FAKE_EXECUTOR },
      {
        onReady: () => {
          const welcome = { protocol: 3, version: 'test', sessionId: 'test', resumeMs: 0 };
          const place = { path: '/nowhere', key: new Uint8Array(32) };
          const channel = { taken: 1, acknowledged: 1, attempt: 1 };
          const session = { program: 'test', welcome };
          child.unpark({ session, place, channel, head: new Uint8Array(0) }, socket, false);
          child.endSession({ code: 'UNAUTHORIZED', message: 'the token was revoked' });
        },
        onSessionEnded: ({ code }) => heard.push(code),
        // It would be handed over to the next session.
        onIdle: () => {
          heard.push('idle');
          child.kill();
        },
        onExit: resolve,
      },
    );
  });
  expect(heard).toEqual(['UNAUTHORIZED']);
  expect(reason).toMatchObject({ message: 'the parked session ended while it was brought back' });
  client.destroy();
  server.close();
});
