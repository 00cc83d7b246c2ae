import { afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ServeProcess } from '../support/hosts/serve-process.js';
import { executorsOf, until } from '../support/machine/processes.js';

const servers: ServeProcess[] = [];
afterEach(() => {
  for (const { child } of servers.splice(0)) child.kill('SIGKILL');
});

async function serve(...args: string[]): Promise<ServeProcess> {
  const server = await ServeProcess.start(...args);
  servers.push(server);
  return server;
}

const open = (server: ServeProcess, hello = HELLO) => new SessionClient(remoteHost(server.url), hello);

describe('the log of farlight serve', () => {
  it('the log has a JSON line for each step of a session, with the reason of its end and its traffic', async () => {
    const server = await serve();
    const client = open(server, { ...HELLO, program: 'app.mjs' });
    const { sessionId } = await client.welcome;
    client.link.send(new Uint8Array([0, 0, 0]));
    client.link.close();
    await client.closed;
    const ended = await server.logged('session ended');
    await server.logged('executor warm');

    const session = sessionId.slice(0, 6);
    expect(await server.logged('host started')).toMatchObject({
      level: 'info',
      url: server.url,
      adapter: 'null',
    });
    expect(await server.logged('session opened')).toMatchObject({
      session,
      program: 'app.mjs',
      adapter: 'null',
    });
    expect(ended).toMatchObject({ level: 'info', session, code: 'CLOSED', framesUp: 1, bytesUp: 3 });
    expect(ended.seconds).toBeGreaterThan(0);
    expect(new Date(ended.time as string).getTime()).toBeGreaterThan(Date.now() - 60_000);
    expect(server.stderr).not.toContain(sessionId);
  });

  it('the log tells the fault of a session, and that its executor is lost', async () => {
    const server = await serve();
    const client = open(server);
    await client.welcome;
    client.link.send(Uint8Array.of(7));
    await client.closed;
    const why = expect.stringMatching(/what the protocol does not allow/);
    expect(await server.logged('session ended')).toMatchObject({
      level: 'warn',
      code: 'PROTOCOL_ERROR',
      why,
    });
    expect(await server.logged('executor lost')).toMatchObject({
      level: 'warn',
      code: 'PROTOCOL_ERROR',
      why,
    });
  });

  it('the log tells that a program closed its session, and that the executor is used again', async () => {
    const server = await serve();
    for (let i = 0; i < 2; i += 1) {
      const client = open(server);
      await client.welcome;
      client.link.close();
      await client.closed;
      const kept = () => server.log.filter(({ msg }) => msg === 'executor warm').length;
      await until(() => kept() > i);
    }
    const ends = server.log.filter(({ msg }) => msg === 'session ended');
    expect(ends.map(({ level, code, why }) => [level, code, why])).toEqual([
      ['info', 'CLOSED', 'the program closed its session'],
      ['info', 'CLOSED', 'the program closed its session'],
    ]);
    const { pid } = await server.logged('executor warm');
    expect(await server.logged('executor reused')).toMatchObject({ pid });
  });

  it('the log tells which clients are rejected and why, and a flood does not fill the disk', async () => {
    const server = await serve();
    const from = performance.now();
    for (let i = 0; i < 60; i += 1) {
      const raw = new RawClient(server.url);
      raw.socket.write('FABULOUS and more that says nothing');
      await raw.closed;
    }
    expect(await open(server, { ...HELLO, protocolMin: 7, protocolMax: 9 }).closed).toMatchObject({
      code: 'VERSION_MISMATCH',
    });
    await until(() => server.log.some(({ code }) => code === 'VERSION_MISMATCH'));
    const seconds = (performance.now() - from) / 1000;
    const refused = server.log.filter(({ msg }) => msg === 'connection refused');
    const flood = refused.filter(({ code }) => code === 'PROTOCOL_ERROR');
    expect(flood[0]).toMatchObject({
      level: 'warn',
      why: 'this is not a Farlight client',
      remote: '127.0.0.1',
    });
    expect(flood.length).toBeGreaterThanOrEqual(10);
    // Ten at once, and one more every ten seconds.
    expect(flood.length).toBeLessThanOrEqual(10 + seconds / 10);
  });

  it('the log has only problems at level warn, and nothing at silent', async () => {
    const [careful, silent] = [await serve('--log-level', 'warn'), await serve('--log-level', 'silent')];
    for (const server of [careful, silent]) {
      const client = open(server);
      await client.welcome;
      client.link.close();
      await client.closed;
      await open(server, { ...HELLO, protocolMin: 7, protocolMax: 9 }).closed;
      server.child.kill('SIGTERM');
      expect(await server.ended).toBe(0);
    }
    expect(careful.log.map(({ level, msg }) => [level, msg])).toEqual([['warn', 'connection refused']]);
    expect(silent.stderr).toBe('');
  });

  it('the log reports no lost executor if all processes of a service end at once', async () => {
    const server = await serve('--spares', '2');
    const client = open(server);
    await client.welcome;
    for (const pid of await executorsOf(server.child.pid as number)) process.kill(pid, 'SIGTERM');
    server.child.kill('SIGTERM');
    expect(await client.closed).toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(await server.ended).toBe(0);
    expect(server.log.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('the log is complete when the host ends', async () => {
    const server = await serve();
    const client = open(server);
    await client.welcome;
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    const messages = server.log.map(({ msg }) => msg);
    expect(messages.filter((msg) => msg.startsWith('host'))).toEqual(['host started', 'host stopping']);
    expect(server.log.find(({ msg }) => msg === 'session ended')).toMatchObject({
      level: 'info',
      code: 'SHUTTING_DOWN',
      why: expect.stringMatching(/is stopping/),
    });
  });
});
