import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { clientCertificate } from '#farlight/link/dial/client-certificate.js';
import { explainHangUp } from '#farlight/link/dial/grpc-errors.js';
import { type HostAddress, parseHostAddress } from '#farlight/link/dial/host-address.js';
import { refusedCertificate } from '#farlight/link/dial/socket-errors.js';
import { openUnixSocket, secure, type VerifyOptions, verifyLocal } from '#farlight/link/dial/verify-peer.js';
import { serverTlsOptions } from '#farlight/server/trust/host-tls.js';
import { DAY, folders, makePair, servers } from '../support/trust/trust.js';

const TOKEN = `flt_${'a'.repeat(43)}`;
const protocols = ['h2'];

const listening = servers();
const temporary = folders();
const opened: Socket[] = [];
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.destroy();
  await listening.close();
  temporary.remove();
});

/** Connects, and shows the token as soon as it may, as a session does. */
async function introduce(url: string, options?: VerifyOptions): Promise<Socket> {
  const address = parseHostAddress(url, { tls: true });
  const socket = await connected(address, options);
  socket.write(String(address.token));
  return socket;
}

/** A connection as gRPC gets it, or to a unix socket, whose peer is verified. */
async function connected(address: HostAddress, options?: VerifyOptions): Promise<Socket> {
  const { scheme, host: name, port } = address;
  if (scheme === 'unix') return track(await openUnixSocket(address, options));
  const socket = track(connect({ host: name, port }));
  await once(socket, 'connect');
  if (scheme === 'grpcs') return track(await secure(socket, address, options));
  await verifyLocal(socket, address);
  return socket;
}

function track(socket: Socket): Socket {
  opened.push(socket.on('error', () => {}));
  return socket;
}

/** A host with this certificate that echoes. */
function host(pair = makePair(), clientCa?: string) {
  return listening.tls(serverTlsOptions(pair, { protocols, clientCa }), (socket) => socket.pipe(socket));
}

const answer = (socket: Socket) =>
  new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(String(bytes))));

const ended = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

describe('TLS', () => {
  const past = { notBefore: Date.now() - 9 * DAY, notAfter: Date.now() - DAY };
  const future = { notBefore: Date.now() + DAY, notAfter: Date.now() + 9 * DAY };

  it('connects to a host with the pinned key, whatever its signer and name', async () => {
    const pair = makePair({ names: ['some.other.name'] });
    const { port } = await host(pair);
    const socket = await introduce(`grpcs://${TOKEN}@127.0.0.1:${port}?ca=${pair.pin}`);
    expect(await answer(socket)).toBe(TOKEN);
  });

  it('connects to a host with a renewed certificate for the same key', async () => {
    const { createPrivateKey } = await import('node:crypto');
    const before = makePair();
    const renewed = makePair({ privateKey: createPrivateKey(before.key) });
    expect(renewed.cert).not.toBe(before.cert);
    const { port } = await host(renewed);
    const socket = await introduce(`grpcs://${TOKEN}@127.0.0.1:${port}?ca=${before.pin}`);
    expect(await answer(socket)).toBe(TOKEN);
  });

  it('connects by name and by IP address if an authority vouches for them', async () => {
    const pair = makePair();
    const { port } = await host(pair);
    for (const name of ['localhost', '127.0.0.1']) {
      const socket = await introduce(`grpcs://${TOKEN}@${name}:${port}`, { authorities: pair.cert });
      expect(await answer(socket)).toBe(TOKEN);
    }
  });

  it('connects to a host with the pinned key, also if its certificate is expired or not yet valid', async () => {
    for (const dates of [past, future]) {
      const pair = makePair(dates);
      const { port } = await host(pair);
      const socket = await introduce(`grpcs://${TOKEN}@127.0.0.1:${port}?ca=${pair.pin}`);
      expect(await answer(socket)).toBe(TOKEN);
    }
  });

  const strange = makePair();
  const TABLE: [string, ReturnType<typeof makePair>, 'vouched' | 'neither' | 'other', RegExp][] = [
    ['with a key that is not the pinned one', strange, 'other', /has another key than the ca/],
    ['with an expired certificate', makePair(past), 'vouched', /has expired/],
    ['with a certificate that is not valid yet', makePair(future), 'vouched', /not valid yet.*clocks/],
    ['that no authority vouches for', strange, 'neither', /no authority that this machine trusts.*\?ca=/],
    ['with a certificate for another name', makePair({ names: ['x'] }), 'vouched', /is not for 127\.0\.0\.1/],
    [
      'with a certificate for clients',
      makePair({ role: 'client' }),
      'vouched',
      /could not be made secure|no authority/,
    ],
  ];
  for (const [name, pair, trust, words] of TABLE) {
    it(`does not connect to a host ${name}, and sends it nothing`, async () => {
      const { port, received } = await host(pair);
      const pin = trust === 'other' ? makePair().pin : undefined;
      const url = `grpcs://${TOKEN}@127.0.0.1:${port}${pin ? `?ca=${pin}` : ''}`;
      const options = trust === 'vouched' ? { authorities: pair.cert } : {};
      await expect(introduce(url, options)).rejects.toMatchObject({
        code: 'UNTRUSTED_HOST',
        message: expect.stringMatching(words),
      });
      await listening.close();
      expect(received()).toBe('');
    });
  }

  it('verifies the host even if the environment turns verification off', async () => {
    const before = process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      const { port, received } = await host();
      for (const ca of ['', `?ca=${makePair().pin}`]) {
        await expect(introduce(`grpcs://${TOKEN}@127.0.0.1:${port}${ca}`)).rejects.toMatchObject({
          code: 'UNTRUSTED_HOST',
        });
      }
      expect(received()).toBe('');
    } finally {
      if (before === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
      else process.env.NODE_TLS_REJECT_UNAUTHORIZED = before;
    }
  });

  it('does not connect to another protocol over TLS, announced or not', async () => {
    const pair = makePair();
    for (const ALPNProtocols of [['http/1.1'], undefined]) {
      const { port, received } = await listening.tls({ ...pair, ...(ALPNProtocols && { ALPNProtocols }) });
      await expect(introduce(`grpcs://${TOKEN}@127.0.0.1:${port}?ca=${pair.pin}`)).rejects.toMatchObject({
        code: 'UNREACHABLE',
        message: expect.stringMatching(/speaks TLS, but not this protocol/),
      });
      expect(received()).toBe('');
    }
  });

  it('does not connect without TLS 1.3', async () => {
    const pair = makePair();
    const { port } = await listening.tls({ ...pair, maxVersion: 'TLSv1.2', ALPNProtocols: protocols });
    await expect(introduce(`grpcs://127.0.0.1:${port}?ca=${pair.pin}`)).rejects.toThrow(
      /does not speak TLS 1\.3/,
    );
  });

  it('TLS to a plaintext port fails with a sentence, whether the port replies, hangs up or is silent', async () => {
    const greetings: [(socket: Socket) => void, RegExp][] = [
      [
        (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
        /does not speak TLS; .*grpc:\/\/127\.0\.0\.1/,
      ],
      [
        (socket) => socket.write(Buffer.from('00000c0400000000000003000000640004', 'hex')),
        /does not speak TLS/,
      ],
      [(socket) => socket.destroy(), /was closed before it was secure/],
      [() => {}, /did not answer in TLS within 0\.2 seconds/],
    ];
    for (const [greet, words] of greetings) {
      const { port, received } = await listening.plain(greet);
      await expect(introduce(`grpcs://${TOKEN}@127.0.0.1:${port}`, { timeoutMs: 200 })).rejects.toMatchObject(
        {
          code: 'UNREACHABLE',
          message: expect.stringMatching(words),
        },
      );
      expect(received()).not.toContain(TOKEN);
    }
  });

  it('gives a connection up when it is aborted', async () => {
    const { port } = await listening.plain();
    const giveUp = new AbortController();
    const connecting = introduce(`grpcs://127.0.0.1:${port}`, { signal: giveUp.signal });
    giveUp.abort(new Error('enough'));
    await expect(connecting).rejects.toThrow('enough');
  });
});

describe('a host that asks for client certificates', () => {
  const client = makePair({ names: [], role: 'client' });

  it('accepts a client certificate that it trusts', async () => {
    const pair = makePair();
    const { port } = await host(pair, client.cert);
    const folder = temporary.make();
    writeFileSync(join(folder, 'cert'), client.cert);
    writeFileSync(join(folder, 'key'), client.key);
    const env = { FARLIGHT_TLS_CERT: join(folder, 'cert'), FARLIGHT_TLS_KEY: join(folder, 'key') };
    const certificate = clientCertificate(env);
    const socket = await introduce(`grpcs://${TOKEN}@127.0.0.1:${port}?ca=${pair.pin}`, { certificate });
    expect(await answer(socket)).toBe(TOKEN);
  });

  it('rejects every other client, and tells it what to name', async () => {
    const pair = makePair();
    const { port, received } = await host(pair, client.cert);
    const url = `grpcs://${TOKEN}@127.0.0.1:${port}?ca=${pair.pin}`;
    const address = parseHostAddress(url, { tls: true });
    const unknown = makePair({ names: [], role: 'client' });
    const forServers = makePair({ names: [] });
    for (const certificate of [undefined, unknown, forServers]) {
      // In TLS 1.3 the client finishes first: the rejection ends the open connection.
      const socket = await introduce(url, { certificate });
      const errors: NodeJS.ErrnoException[] = [];
      socket.on('error', (error) => errors.push(error));
      await ended(socket.resume());
      const told = errors.map((error) => refusedCertificate(address, error)).find((each) => each);
      expect(told ?? (await explainHangUp(address))).toMatchObject({
        code: 'UNAUTHORIZED',
        message: expect.stringMatching(/FARLIGHT_TLS_CERT/),
      });
      expect(told !== undefined, 'answers a missing client certificate with an alert').toBe(
        certificate === undefined,
      );
    }
    expect(received()).toBe('');
  });

  it('fails with half a client certificate, or one that cannot be read', () => {
    expect(clientCertificate({})).toBeUndefined();
    expect(() => clientCertificate({ FARLIGHT_TLS_CERT: '/x' })).toThrow(/go together/);
    const missing = { FARLIGHT_TLS_CERT: '/no/such', FARLIGHT_TLS_KEY: '/no/such' };
    expect(() => clientCertificate(missing)).toThrow(/FARLIGHT_TLS_CERT \/no\/such cannot be read/);
    const file = join(temporary.make(), 'both');
    writeFileSync(file, client.cert);
    expect(() => clientCertificate({ FARLIGHT_TLS_CERT: file, FARLIGHT_TLS_KEY: file })).toThrow(
      /are not a certificate and its key/,
    );
  });
});

describe('plaintext', () => {
  it('connects in plaintext on loopback and over a unix socket', async () => {
    const { port } = await listening.plain((socket) => socket.pipe(socket));
    expect(await answer(await introduce(`grpc://127.0.0.1:${port}`))).toBe('undefined');
    const { createServer } = await import('node:net');
    const path = join(temporary.make(), 'socket');
    const server = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const socket = await introduce(`unix:${path}`);
    expect(await answer(socket)).toBe('undefined');
    socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  it('recognizes a TLS port that hangs up on plaintext', async () => {
    const { port, received } = await host(makePair(), makePair().cert);
    const address = parseHostAddress(`grpc://127.0.0.1:${port}`);
    const socket = await introduce(address.url);
    await ended(socket.resume());
    await expect(explainHangUp(address)).resolves.toMatchObject({
      code: 'UNREACHABLE',
      message: `the server at ${address.url} speaks TLS; write grpcs://127.0.0.1:${port}, with the token and the ?ca= of that host`,
    });
    expect(received()).toBe('');
  });

  it('does not take other ports that hang up or stay silent for TLS', async () => {
    for (const greet of [(socket: Socket) => socket.end(), () => {}]) {
      const { port } = await listening.plain(greet);
      const address = parseHostAddress(`grpc://127.0.0.1:${port}`);
      await expect(explainHangUp(address, 200)).resolves.toMatchObject({
        message: expect.stringMatching(/^no farlight host at .* hung up without a word/),
      });
    }
  });
});

it('a unix socket at which nobody listens fails with what to start', async () => {
  await expect(introduce('unix:/no/such/socket')).rejects.toMatchObject({
    code: 'UNREACHABLE',
    message: expect.stringMatching(/no farlight host at .* \(ENOENT\).*farlight serve/),
  });
});
