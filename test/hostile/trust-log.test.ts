import { connect } from 'node:net';
import { afterAll, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { RawClient } from '../support/clients/raw-client.js';
import { SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { memoryLog } from '../support/hosts/memory-log.js';
import { secureHosts, secureLine, secureRaw } from '../support/hosts/secure-host.js';
import { until } from '../support/machine/processes.js';
import { makePair } from '../support/trust/trust.js';

const hosts = secureHosts();
const opened: SessionClient[] = [];
afterAll(async () => {
  for (const client of opened.splice(0)) client.link.close();
  await hosts.close();
});

function open(url: string): SessionClient {
  const client = new SessionClient(remoteHost(url));
  opened.push(client);
  return client;
}

// Each has a host of its own, and most wait: a refusal takes a second.
describe.concurrent('the log of a host with tokens', () => {
  it('names the addresses that showed no token or a wrong one, and shows no token', async () => {
    const { log, lines, of } = memoryLog();
    const { daemon, urlOf } = await hosts.start({ log });
    const token = `flt_${'a'.repeat(43)}`;
    expect(await open(daemon.url).closed).toMatchObject({ code: 'UNAUTHORIZED' });
    const client = new HostClient(urlOf(token));
    await expect(client.describe()).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    client.close();
    const from = { level: 'warn', code: 'UNAUTHORIZED', remote: '127.0.0.1' };
    expect(of('connection refused')).toMatchObject([
      { ...from, why: expect.stringMatching(/asks for a token/) },
      { ...from, why: expect.stringMatching(/does not know this token/) },
    ]);
    expect(JSON.stringify(lines)).not.toContain(token);
  });

  it('is not flooded by somebody who tries tokens, and still shows other refusals', async () => {
    const { log, of } = memoryLog();
    const { daemon, port } = await hosts.start({ log });
    const from = performance.now();
    await Promise.all(Array.from({ length: 60 }, () => secureRaw(daemon.url).hello().closed));
    const raw = new RawClient(secureLine(port));
    raw.socket.write('FABULOUS and more that says nothing');
    await raw.closed;
    const refused = of('connection refused');
    const tries = refused.filter(({ code }) => code === 'UNAUTHORIZED').length;
    expect(tries).toBeGreaterThanOrEqual(10);
    expect(tries).toBeLessThanOrEqual(11 + (performance.now() - from) / 10_000);
    expect(tries).toBeLessThan(60);
    expect(refused.filter(({ code }) => code === 'PROTOCOL_ERROR')).toHaveLength(1);
  });

  it('names the tenant in lines about sessions and executors, and never a whole session id', async () => {
    const { log, lines, of } = memoryLog();
    const { invite } = await hosts.start({ log });
    const { url, token } = invite('alice');
    const client = open(url);
    const { sessionId } = await client.welcome;
    client.link.close();
    await client.closed;
    await until(() => of('executor warm').length > 0);
    const alice = { tenant: 'alice', program: 'test' };
    const session = sessionId.slice(0, 6);
    expect(of('session opened')).toMatchObject([{ ...alice, session, adapter: 'fake' }]);
    expect(of('session ended')).toMatchObject([{ ...alice, session, code: 'CLOSED' }]);
    expect(of('executor warm')).toMatchObject([alice]);
    expect(JSON.stringify(lines)).not.toContain(sessionId);
    expect(JSON.stringify(lines)).not.toContain(token);
  });

  for (const [state, action] of [
    ['idle', ACTION.echo],
    ['busy', ACTION.hang],
  ] as const) {
    it(`says that a session ended because its token was revoked, even while its executor is ${state}`, async () => {
      const { log, of } = memoryLog();
      const { invite, tokens } = await hosts.start({ log });
      const { url, id } = invite('bob');
      const client = open(url);
      await client.welcome;
      client.link.send(Uint8Array.of(action));
      tokens.revoke(id);
      expect(await client.closed).toMatchObject({ code: 'UNAUTHORIZED' });
      await until(() => of('session ended').length > 0);
      expect(of('session ended')).toMatchObject([
        { level: 'warn', tenant: 'bob', code: 'UNAUTHORIZED', why: expect.stringMatching(/has revoked/) },
      ]);
    });
  }

  it('names a peer that does not speak TLS, and no port scan', async () => {
    const { log, of } = memoryLog();
    const { port } = await hosts.start({ log });
    const glance = connect(port, '127.0.0.1');
    await new Promise((resolve) => glance.once('connect', resolve));
    glance.end().resume();
    await new Promise((resolve) => glance.once('close', resolve));
    const plain = connect(port, '127.0.0.1').on('error', () => {});
    plain.resume().write('GET / HTTP/1.1\r\n\r\n');
    await new Promise((resolve) => plain.once('close', resolve));
    await until(() => of('connection refused').length > 0);
    expect(of('connection refused')).toMatchObject([
      {
        code: 'TLS_FAILED',
        remote: '127.0.0.1',
        why: expect.stringMatching(/^the TLS handshake failed: ERR_SSL_/),
      },
    ]);
  });

  it('names a client without a required certificate', async () => {
    const { log, of } = memoryLog();
    const { writeFileSync } = await import('node:fs');
    const clientCa = `${hosts.folder()}/ca.pem`;
    writeFileSync(clientCa, makePair().cert);
    const { invite } = await hosts.start({ log, tlsFiles: { clientCa } });
    await open(invite().url).closed;
    await until(() => of('connection refused').length > 0);
    expect(of('connection refused')[0]).toMatchObject({
      code: 'TLS_FAILED',
      remote: '127.0.0.1',
      why: expect.stringMatching(/CERTIFICATE/),
    });
  });
});

describe('a host with TLS that drains', () => {
  it('lets its sessions continue, accepts no other, still ends those of a revoked token, and stops after the last', async () => {
    const { log, of } = memoryLog();
    const { daemon, invite, tokens } = await hosts.start({ log });
    const [stays, goes] = [invite('stays'), invite('goes')];
    const [one, other] = [open(stays.url), open(goes.url)];
    await Promise.all([one.welcome, other.welcome]);
    const drained = daemon.drain(600_000);
    expect(await open(stays.url).closed).toMatchObject({ code: 'SHUTTING_DOWN' });
    tokens.revoke(goes.id);
    expect(await other.closed).toMatchObject({ code: 'UNAUTHORIZED' });
    expect([...(await one.ask(ACTION.echo, 3))]).toEqual([ACTION.echo, 3]);
    one.link.close();
    await drained;
    expect(await one.closed).toBeUndefined();
    expect(of('session ended').map(({ tenant, code }) => [tenant, code])).toEqual([
      ['goes', 'UNAUTHORIZED'],
      ['stays', 'CLOSED'],
    ]);
  });
});
