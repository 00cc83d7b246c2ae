import type { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { WorkerLink } from '#farlight/client/transport/worker-link.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts } from '../support/hosts/fake-hosts.js';

const start = fakeHosts();

it('a session that begins when the connection thread has died has another thread, and is not closed with the old one', async () => {
  const { url } = await start();
  const transport = WorkerLink.transport(url, { host: url, options: {} });
  const started = new Promise<Worker>((resolve) => process.once('worker', resolve));
  const first = new SessionClient(transport);
  await first.welcome;
  const thread = await started;
  // The thread reports its error before it ends.
  thread.emit('error', new Error('a bug'));
  expect(await first.closed).toMatchObject({
    code: 'DISCONNECTED',
    message: expect.stringMatching(/a bug$/),
  });
  // At once, as a program does that asks for another device when it has lost one.
  const second = new SessionClient(transport);
  await second.welcome;
  await thread.terminate();
  const answer = await Promise.race([second.ask(ACTION.echo, 7), second.closed]);
  expect(answer).toEqual(Uint8Array.of(ACTION.echo, 7));
});
