import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { checkHealth } from '../support/clients/health.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { executorsOf, isAlive } from '../support/machine/processes.js';

const servers: ServeProcess[] = [];
afterEach(() => {
  for (const { child } of servers.splice(0)) child.kill('SIGKILL');
});

/** A host with a session, and the processes of its executors. */
async function serving(...args: string[]) {
  const server = await ServeProcess.start(...args);
  servers.push(server);
  const client = new SessionClient(remoteHost(server.url));
  await client.welcome;
  return { server, client, executors: await executorsOf(server.child.pid ?? 0) };
}

describe('farlight serve --drain, on SIGTERM', () => {
  it('a draining host lets its session go on, rejects others, and ends when the session ends', async () => {
    const { server, client, executors } = await serving('--drain', '60');
    expect(await checkHealth(server.url)).toBe(1);
    server.child.kill('SIGTERM');
    expect(await server.logged('host stopping')).toMatchObject({ sessions: 1, drainSeconds: 60 });
    expect(await checkHealth(server.url)).toBe(2);
    expect(await new SessionClient(remoteHost(server.url)).closed).toMatchObject({
      code: 'SHUTTING_DOWN',
      message: expect.stringMatching(/is stopping; start the program again when it is back/),
    });
    expect(server.child.exitCode).toBeNull();
    expect(client.log).toEqual(['welcome']);
    client.link.close();
    expect(await server.ended).toBe(0);
    expect(await client.closed).toBeUndefined();
    expect(server.log.find(({ msg }) => msg === 'session ended')).toMatchObject({ code: 'CLOSED' });
    expect(executors.filter(isAlive)).toEqual([]);
  });

  it('a draining host waits no longer than --drain, and tells the session why it ends', async () => {
    const { server, client, executors } = await serving('--drain', '1');
    const from = performance.now();
    server.child.kill('SIGTERM');
    expect(await client.closed).toMatchObject({
      code: 'SHUTTING_DOWN',
      message: expect.stringMatching(/is stopping/),
    });
    expect(performance.now() - from).toBeGreaterThan(900);
    expect(await server.ended).toBe(0);
    expect(executors.filter(isAlive)).toEqual([]);
  });

  it('a second SIGTERM ends a draining host at once', async () => {
    const { server, client, executors } = await serving('--drain', '600');
    server.child.kill('SIGTERM');
    await server.logged('host stopping');
    server.child.kill('SIGTERM');
    expect(await client.closed).toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(await server.ended).toBe(0);
    expect(executors.filter(isAlive)).toEqual([]);
  });

  it('a draining host without sessions ends at once', async () => {
    const { server, client } = await serving('--drain', '600');
    client.link.close();
    await server.logged('session ended');
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
  });
});
