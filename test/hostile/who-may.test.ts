import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import '../support/hosts/session-reasons.js';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import { REFUSED_AFTER_MS } from '#farlight/server/trust/admission.js';
import { ownCertificate } from '#farlight/server/trust/host-certificate.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { memoryLog } from '../support/hosts/memory-log.js';
import { secureHosts, secureLine, secureRaw } from '../support/hosts/secure-host.js';
import { until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { makePair, servers } from '../support/trust/trust.js';

const hosts = secureHosts();
const listening = servers();
const opened: SessionClient[] = [];
afterAll(async () => {
  for (const client of opened.splice(0)) client.link.close();
  await hosts.close();
  await listening.close();
});

function open(url: string, hello = HELLO): SessionClient {
  const client = new SessionClient(remoteHost(url), hello);
  opened.push(client);
  return client;
}

/** The refusals of a session and of a gRPC call: the same sentence, without the token. */
async function refusal(url: string): Promise<{ code: string; message: string }> {
  const client = new HostClient(url);
  const describing = client.describe().catch((error) => error);
  const [reason, asked] = await Promise.all([open(url).closed, describing]);
  client.close();
  expect(asked.code).toBe(reason?.code);
  const message = String(reason?.message);
  expect(asked.message).toBe(message);
  expect(message).not.toMatch(/flt_[A-Za-z0-9]|\n|Error:/);
  return { code: String(reason?.code), message };
}

// Each has a host of its own, and most wait: a refusal takes a second.
describe.concurrent('a host with TLS', () => {
  it('serves a client with a token, as well as over a plain connection', async () => {
    const { invite, daemon } = await hosts.start();
    const client = open(invite().url);
    expect([...(await client.ask(ACTION.echo, 7))]).toEqual([ACTION.echo, 7]);
    const frame = new Uint8Array(1 << 20).map((_, at) => at % 251);
    frame[0] = ACTION.echo;
    for (let i = 0; i < 24; i++) await client.send(frame.slice());
    for (let i = 0; i < 24; i++) expect(Buffer.compare(await client.next(), frame)).toBe(0);
    client.link.close();
    expect(await client.closed).toBeUndefined();
    await until(() => daemon.counters.sessionsActive === 0);
  });

  it('counts a silent client as gone, except one on its machine that says it may be silent', async () => {
    // A loaded machine may take a second to bring the offer.
    const options = { silence: { pingMs: 1000, deadMs: 3000 }, resumeMs: 100 };
    const { invite, daemon } = await hosts.start(options);
    const near = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
    const [local, far] = [new RawClient(near.url).hello(), secureRaw(invite().url).hello()];
    for (const client of [local, far]) await client.next(PACKET.welcome);
    local.say(PACKET.offer, { name: '' });
    expect([...(await local.next(PACKET.offerReply))]).toEqual([0]);
    await far.closed;
    await until(() => daemon.counters.sessionsActive === 0);
    local.frame(Uint8Array.of(ACTION.echo, 7));
    expect([...(await local.next(PACKET.data))]).toEqual([ACTION.echo, 7]);
    local.socket.destroy();
    await near.close();
  });

  it('answers the calls of a client with a token', async () => {
    const { invite } = await hosts.start();
    const client = new HostClient(invite().url);
    expect((await client.describe()).adapter?.name).toBe('fake');
    await client.echo(new Uint8Array(1 << 20), 1 << 20);
    client.close();
  });

  it('refuses a client without a token, and tells it nothing more', async () => {
    const { daemon } = await hosts.start();
    expect(await refusal(daemon.url)).toEqual({
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/^the host asks for a token; get one from its owner/),
    });
    expect(daemon.counters).toMatchObject({ sessionsOpened: 0, sessionsRefused: 1 });
  });

  it('refuses an unknown token and a revoked one with the same sentence', async () => {
    const { invite, urlOf, tokens } = await hosts.start();
    const revoked = invite();
    tokens.revoke(revoked.id);
    const words = {
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/^the host does not know this token/),
    };
    expect(await refusal(urlOf(`flt_${'a'.repeat(43)}`))).toEqual(words);
    expect(await refusal(revoked.url)).toEqual(words);
  });

  it('ends the sessions of a revoked token, and no others', async () => {
    const { invite, tokens } = await hosts.start();
    const [theirs, ours] = [invite('them'), invite('us')];
    const [victim, other] = [open(theirs.url), open(ours.url)];
    await Promise.all([victim.welcome, other.welcome]);
    tokens.revoke(theirs.id);
    expect(await victim.closed).toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/has revoked this session's token; ask for another/),
    });
    expect([...(await other.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
  });

  it('ends the session of a revoked token even while its executor is busy', async () => {
    const { invite, tokens, daemon } = await hosts.start();
    const { url, id } = invite();
    const client = open(url);
    await client.welcome;
    client.link.send(Uint8Array.of(ACTION.hang));
    await until(() => daemon.counters.sessionsActive === 1);
    tokens.revoke(id);
    expect(await client.closed).toMatchObject({ code: 'UNAUTHORIZED' });
    await until(() => daemon.counters.sessionsActive === 0);
  });

  it('admits a valid token at once after any number of wrong ones from the same address', async () => {
    const { urlOf, invite } = await hosts.start();
    const wrong = urlOf(`flt_${'a'.repeat(43)}`);
    const failed: unknown[] = [];
    const failing = Array.from({ length: 12 }, () =>
      open(wrong).closed.then((reason) => failed.push(reason?.code)),
    );
    await Promise.all(failing);
    expect(failed).toEqual(Array(12).fill('UNAUTHORIZED'));
    const other = open(wrong);
    expect([...(await open(invite().url).ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    expect(await other.closed).toMatchObject({ code: 'UNAUTHORIZED' });
  });

  it('delays its answer to every refused call', async () => {
    const { urlOf } = await hosts.start();
    const wrong = urlOf(`flt_${'a'.repeat(43)}`);
    const client = new HostClient(wrong);
    const from = performance.now();
    const waited = async (answer: Promise<unknown>) => {
      expect(await answer).toMatchObject({ code: 'UNAUTHORIZED' });
      return performance.now() - from;
    };
    const times = await Promise.all([
      waited(open(wrong).closed),
      waited(client.describe().catch((error) => error)),
    ]);
    client.close();
    // A timer may ring a millisecond early.
    for (const time of times) expect(time).toBeGreaterThanOrEqual(REFUSED_AFTER_MS - 1);
  });

  it('tells everybody its health, and nothing else', async () => {
    const { port } = await hosts.start();
    const { connect: connectHttp2 } = await import('node:http2');
    const session = connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });
    const ask = (path: string) =>
      new Promise<{ status: unknown; body: Buffer }>((resolve) => {
        const call = session.request({
          ':method': 'POST',
          ':path': path,
          'content-type': 'application/grpc',
        });
        const pieces: Buffer[] = [];
        let code: unknown;
        call.on('response', (headers) => (code = headers['grpc-status'] ?? code));
        call.on('trailers', (headers) => (code = headers['grpc-status']));
        call.on('data', (piece) => pieces.push(piece));
        call.on('close', () => resolve({ status: code, body: Buffer.concat(pieces) }));
        call.end(Buffer.alloc(5));
      });
    const health = await ask('/grpc.health.v1.Health/Check');
    expect([...health.body]).toEqual([0, 0, 0, 0, 2, 8, 1]);
    const description = await ask('/farlight.v1.Host/Describe');
    expect(description).toEqual({ status: '16', body: Buffer.alloc(0) });
    session.destroy();
  });

  it('admits nobody where it cannot read its tokens, and tells only its owner why', async () => {
    const { log, of } = memoryLog();
    const { invite, trustFolder } = await hosts.start({ log });
    const { url } = invite();
    const { renameSync } = await import('node:fs');
    renameSync(join(trustFolder, 'tokens'), join(trustFolder, 'elsewhere'));
    writeFileSync(join(trustFolder, 'tokens'), '');
    const { code, message } = await refusal(url);
    expect({ code, message }).toEqual({
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/cannot read its tokens, and admits nobody/),
    });
    expect(message).not.toContain(trustFolder);
    expect(of('certificate or tokens unusable')).toMatchObject([
      { why: expect.stringContaining(trustFolder) },
    ]);
  });
});

describe('a client', () => {
  it('sends nothing to a host with another key', async () => {
    const { invite } = await hosts.start();
    const url = invite().url.replace(/ca=.*/, `ca=${makePair().pin}`);
    expect(await refusal(url)).toEqual({
      code: 'UNTRUSTED_HOST',
      message: expect.stringMatching(/has another key than the ca in the address says/),
    });
  });

  it('learns that it speaks plaintext to a TLS port', async () => {
    const { port } = await hosts.start();
    expect(await refusal(`grpc://127.0.0.1:${port}`)).toEqual({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/speaks TLS; write grpcs:/),
    });
  });

  it('learns that it speaks TLS to a plaintext port, and does not send its token', async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
    const port = Number(new URL(daemon.url).port);
    try {
      const url = `grpcs://flt_${'a'.repeat(43)}@127.0.0.1:${port}?ca=${makePair().pin}`;
      expect((await refusal(url)).code).toBe('UNREACHABLE');
      expect((await refusal(url)).message).toMatch(/TLS/);
    } finally {
      await daemon.close();
    }
  });

  it('learns which certificate a host requires, and is served with it', async () => {
    const mine = makePair({ names: [], role: 'client' });
    const folder = hosts.folder();
    for (const name of ['cert', 'key'] as const) writeFileSync(join(folder, name), mine[name]);
    const { invite } = await hosts.start({ tlsFiles: { clientCa: join(folder, 'cert') } });
    const { url } = invite();
    expect(await open(url).closed).toMatchObject({
      code: 'UNAUTHORIZED',
      message: expect.stringMatching(/FARLIGHT_TLS_CERT and FARLIGHT_TLS_KEY/),
    });
    process.env.FARLIGHT_TLS_CERT = join(folder, 'cert');
    process.env.FARLIGHT_TLS_KEY = join(folder, 'key');
    try {
      expect([...(await open(url).ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    } finally {
      delete process.env.FARLIGHT_TLS_CERT;
      delete process.env.FARLIGHT_TLS_KEY;
    }
  });

  it('can close while it connects', async () => {
    const { port } = await listening.plain();
    const client = open(`grpcs://127.0.0.1:${port}?ca=${makePair().pin}`);
    client.link.close();
    expect(await client.closed).toBeUndefined();
  });
});

describe('the port', () => {
  it('survives noise, broken handshakes, and foreign protocols', async () => {
    const { port, invite } = await hosts.start();
    const noise = connect(port, '127.0.0.1').on('error', () => {});
    noise.write('GET / HTTP/1.1\r\n\r\n');
    const hasty = connect(port, '127.0.0.1').on('error', () => {});
    hasty.write(Buffer.from('16030100a5010000a10303', 'hex'), () => hasty.resetAndDestroy());
    const other = secureLine(port, ['http/1.1']).on('error', () => {});
    const vague = secureLine(port, []).on('error', () => {});
    const wordy = secureLine(port).on('error', () => {});
    wordy.write('x'.repeat(100_000));
    const all = [noise, hasty, other, vague, wordy];
    for (const socket of all) socket.resume();
    await Promise.all(all.map((each) => new Promise((resolve) => each.once('close', resolve))));
    expect([...(await open(invite().url).ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
  });

  it('shows a renewed certificate for the same key to new connections', async () => {
    const { daemon, port, trustFolder, invite } = await hosts.start({ certificateCheckMs: 20 });
    const { url } = invite();
    const shown = () =>
      new Promise<string>((resolve) => {
        const line = secureLine(port).on('error', () => {});
        line.once('secureConnect', () => {
          resolve(line.getPeerX509Certificate()?.serialNumber ?? '');
          line.destroy();
        });
      });
    const before = await shown();
    const session = open(url);
    await session.welcome;
    ownCertificate({ names: ['another.name'], folder: trustFolder });
    let after = before;
    while (after === before) after = await shown();
    expect([...(await session.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    expect([...(await open(url).ask(ACTION.echo, 2))]).toEqual([ACTION.echo, 2]);
    expect(daemon.url).toBe(url.replace(/\/\/.*@/, '//'));
  });
});
