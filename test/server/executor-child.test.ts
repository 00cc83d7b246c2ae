import { connect, createServer, type Socket } from 'node:net';
import { expect, it } from 'vitest';
import { ExecutorChild } from '#farlight/link/executor-child.js';
import { FAKE_EXECUTOR } from '../support/session-client.js';

it('a connection that is on its way to an executor that dies is closed, so that its client comes back', async () => {
  const server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = connect((server.address() as { port: number }).port, '127.0.0.1').on('error', () => {});
  const closed = new Promise((resolve) => client.resume().once('close', resolve));
  const socket = await accepted;
  let ready!: () => void;
  let exited!: (reason: unknown) => void;
  const [isReady, hasExited] = [
    new Promise<void>((resolve) => {
      ready = resolve;
    }),
    new Promise((resolve) => {
      exited = resolve;
    }),
  ];
  const child = new ExecutorChild(
    { adapter: 'null', entry: FAKE_EXECUTOR },
    { onReady: () => ready(), onExit: exited },
  );
  await isReady;
  // It takes nothing any more, and has not died yet.
  process.kill(child.pid ?? 0, 'SIGSTOP');
  child.resume({ taken: 0, attempt: 1 }, socket, new Uint8Array(0));
  await new Promise((resolve) => setImmediate(resolve));
  process.kill(child.pid ?? 0, 'SIGKILL');
  expect(await hasExited).toMatchObject({ code: 'EXECUTOR_LOST' });
  await closed;
  // Node counts connections that a process has got, and does not hear of its death: nobody waits for the end of this.
  server.close();
});
