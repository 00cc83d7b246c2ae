import { readFileSync } from 'node:fs';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import { inferenceTrust, type TrustOptions } from '#farlight/infer/door/trust.js';
import { pageRoutes } from '#farlight/infer/http/page-routes.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { LiveEvents } from '#farlight/page/live-events.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { folders } from '../../support/trust/trust.js';
import { ask, inferenceClient, raw, serving, soon } from './served.js';

const temporary = folders();
const servers = serving();
afterEach(async () => {
  await servers.close();
  temporary.remove();
});

/** The trust of a server behind a proxy: tokens in plaintext, which a test can write by hand. */
function tokens(): { trust: Partial<TrustOptions>; tokenOf(tenant: string): string } {
  const trustFolder = temporary.make();
  const store = new TokenStore(join(trustFolder, 'tokens'));
  return {
    trust: { behindProxy: 'infer.example:443', trustFolder, mayLoad: ['owner'] },
    tokenOf: (tenant) => store.add({ tenant }).token,
  };
}

describe('a server that asks for tokens, over HTTP', () => {
  it("admits a client with a token over HTTP, as the token's tenant", async () => {
    const { trust, tokenOf } = tokens();
    const { url, service } = await servers.http({}, trust);
    const inputs = [{ name: 'x', datatype: 'INT32', shape: [1], data: [1] }];
    const headers = { authorization: `Bearer ${tokenOf('alice')}` };
    const body = JSON.stringify({ inputs });
    const answered = await fetch(`${url}/v2/models/echo-INT32/infer`, { method: 'POST', headers, body });
    expect(answered.status).toBe(200);
    expect(service.asked[0]?.tenant).toBe('alice');
  });

  it.each(['/v2', '/v2/models/simple', '/v2/models/nosuch', '/v3', '/metrics', '/v2/openapi.json'])(
    'tells nobody else anything of %s',
    async (path) => {
      const { url } = await servers.http({}, tokens().trust);
      const answers = await Promise.all([
        fetch(`${url}${path}`),
        fetch(`${url}${path}`, { headers: { authorization: 'Bearer guessed' } }),
      ]);
      for (const each of answers) {
        expect(each.status).toBe(401);
        expect(each.headers.get('www-authenticate')).toBe('Bearer');
        expect(await each.json()).toEqual({ error: expect.stringContaining('farlight token add') });
      }
    },
  );

  it('the body of an unknown client is not read', async () => {
    const { port, server } = await servers.http({}, tokens().trust);
    const head =
      'POST /v2/models/simple/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: 900000\r\nconnection: close\r\n\r\n';
    const answer = raw(port, head, 'x'.repeat(500_000));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(server.budget.taken).toBe(0);
    expect((await answer).toString()).toContain('401 Unauthorized');
  });

  it('a supervisor may ask for the health without a token', async () => {
    const { url } = await servers.http({}, tokens().trust);
    expect((await fetch(`${url}/v2/health/ready`)).status).toBe(200);
  });

  it('only tenants that the owner names may load models', async () => {
    const { trust, tokenOf } = tokens();
    const { url } = await servers.http({}, trust);
    const load = (tenant: string) =>
      fetch(`${url}/v2/repository/models/simple/load`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokenOf(tenant)}` },
      });
    const refused = await load('alice');
    expect(refused.status).toBe(403);
    expect(await refused.json()).toEqual({ error: expect.stringContaining('--may-load alice') });
    expect((await load('owner')).status).toBe(200);
  });
});

it('however many pages one tenant keeps open, another tenant can open one', async () => {
  const { trust, tokenOf } = tokens();
  const live = new LiveEvents({ name: 'server', onError: () => {} });
  const state = () => ({ now: 0, news: '', event: () => ({}) });
  const routes = pageRoutes({ path: '/v2/farlight', view: () => ({}), state, live, site: undefined });
  const { url } = await servers.http({ routes }, trust);
  const end = new AbortController();
  const open = async (token: string) => {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${url}/v2/farlight/events`, { headers, signal: end.signal })).status;
  };
  const alice = tokenOf('alice');
  const statuses = await Promise.all(Array.from({ length: 64 }, () => open(alice)));
  expect(new Set(statuses)).toEqual(new Set([200, 503]));
  expect(await open(tokenOf('bob'))).toBe(200);
  end.abort();
  await soon(() => expect(live.readers).toBe(0));
  expect(await fetch(`${url}/v2/farlight`, { headers: { authorization: `Bearer ${alice}` } })).toMatchObject({
    status: 200,
  });
  live.close();
});

describe('a server that asks for tokens, over gRPC', () => {
  it('a client without a token that asks for the health sends no long message', async () => {
    const { client } = await servers.grpc({}, tokens().trust);
    /** A message of a field that nobody knows, with so many bytes. */
    const ready = (bytes: number) =>
      new Promise<string>((resolve) => {
        const message = Buffer.concat([
          Buffer.of(0x7a, (bytes & 127) | 128, bytes >> 7),
          Buffer.alloc(bytes),
        ]);
        client.makeUnaryRequest(
          '/inference.GRPCInferenceService/ServerReady',
          () => message,
          (answer) => answer,
          {},
          (error) => resolve(error ? (grpc().status[error.code] as string) : 'OK'),
        );
      });
    expect(await ready(500)).toBe('OK');
    expect(await ready(16_000)).toBe('RESOURCE_EXHAUSTED');
    expect(await ready(500)).toBe('OK');
  });

  it('an answer to a client without a token is among the answers that are counted', async () => {
    const answers: string[] = [];
    const { client } = await servers.grpc({ onAnswer: (code) => answers.push(code) }, tokens().trust);
    await expect(ask(client, 'ServerMetadata', {})).rejects.toMatchObject({
      code: grpc().status.UNAUTHENTICATED,
    });
    expect(answers).toEqual(['UNAUTHENTICATED']);
  });

  it("admits a client with a token over gRPC, as the token's tenant", async () => {
    const { trust, tokenOf } = tokens();
    const { client, service } = await servers.grpc({}, trust);
    const inputs = [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } }];
    await ask(client, 'ModelInfer', { model_name: 'echo-INT32', inputs }, { token: tokenOf('alice') });
    expect(service.asked[0]?.tenant).toBe('alice');
    await expect(ask(client, 'ModelInfer', { model_name: 'echo-INT32', inputs })).rejects.toMatchObject({
      code: grpc().status.UNAUTHENTICATED,
      details: expect.stringContaining('farlight token add'),
    });
    expect(service.asked).toHaveLength(1);
    expect(await ask(client, 'ServerLive', {})).toEqual({ live: true });
    const load = { model_name: 'simple' };
    await expect(ask(client, 'RepositoryModelLoad', load, { token: tokenOf('alice') })).rejects.toMatchObject(
      {
        code: grpc().status.PERMISSION_DENIED,
      },
    );
    await ask(client, 'RepositoryModelLoad', load, { token: tokenOf('owner') });
  });
});

describe('a token that is revoked', () => {
  it('a revoked token is refused from that moment on, also in an open stream', async () => {
    const { trust, tokenOf } = tokens();
    const { client, service } = await servers.grpc({}, trust);
    const token = tokenOf('alice');
    const metadata = new (grpc().Metadata)();
    metadata.set('authorization', `Bearer ${token}`);
    const methods = client as unknown as {
      ModelStreamInfer(metadata: object): ClientDuplexStream<object, { error_message: string }>;
    };
    const stream = methods.ModelStreamInfer(metadata);
    const answers: string[] = [];
    stream.on('data', ({ error_message }) => answers.push(error_message)).on('error', () => {});
    const inputs = [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } }];
    stream.write({ model_name: 'echo-INT32', inputs });
    await expect.poll(() => answers).toEqual(['']);
    const store = new TokenStore(join(trust.trustFolder ?? '', 'tokens'));
    for (const { id } of store.list()) store.revoke(id);
    stream.write({ model_name: 'echo-INT32', inputs });
    await expect.poll(() => answers).toEqual(['', expect.stringContaining('does not know this token')]);
    expect(service.asked).toHaveLength(1);
    stream.end();
  });
});

describe('a server that asks for no token', () => {
  it.each([
    ['another site', 'GET /v2 HTTP/1.1\r\nhost: 127.0.0.1\r\norigin: https://evil.example\r\n', 403],
    [
      'another origin on this machine',
      'GET /v2 HTTP/1.1\r\nhost: localhost:1\r\norigin: http://localhost:2\r\n',
      403,
    ],
    [
      'a page that hides its origin',
      'GET /v2 HTTP/1.1\r\nhost: localhost\r\nsec-fetch-site: cross-site\r\n',
      403,
    ],
    ['a name that leads to this machine', 'GET /v2 HTTP/1.1\r\nhost: evil.example\r\n', 421],
    ['no page', 'GET /v2 HTTP/1.1\r\nhost: [::1]:8000\r\n', 200],
  ])('%s', async (_, head, status) => {
    const { port } = await servers.http();
    const answer = await raw(port, `${head}connection: close\r\n\r\n`);
    expect(answer.toString()).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });
});

describe('TLS', () => {
  it('TLS is spoken, with tokens, if the address asks for it', async () => {
    const trustFolder = temporary.make();
    const { port } = await servers.http({}, { http: 'https://127.0.0.1:0', trustFolder });
    const { token } = new TokenStore(join(trustFolder, 'tokens')).add({ tenant: 'alice' });
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}` };
      const options = { port, host: '127.0.0.1', path: '/v2', rejectUnauthorized: false, headers };
      const asked = httpsRequest(options, (response) => resolve(response.resume().statusCode));
      asked.once('error', reject);
      asked.end();
    });
    expect(status).toBe(200);
    await expect(fetch(`http://127.0.0.1:${port}/v2`)).rejects.toThrow();
  });

  it('TLS is spoken over gRPC, too', async () => {
    const trustFolder = temporary.make();
    const { port, service } = await servers.grpc({}, { grpc: 'grpcs://127.0.0.1:0', trustFolder });
    const { token } = new TokenStore(join(trustFolder, 'tokens')).add({ tenant: 'alice' });
    const roots = readFileSync(join(trustFolder, 'identity.pem'));
    const client = inferenceClient(`127.0.0.1:${port}`, {}, grpc().credentials.createSsl(roots));
    const inputs = [{ name: 'x', datatype: 'INT32', shape: [1], contents: { int_contents: [1] } }];
    await ask(client, 'ModelInfer', { model_name: 'echo-INT32', inputs }, { token });
    client.close();
    expect(service.asked[0]?.tenant).toBe('alice');
  });

  it('TLS is spoken on both addresses if one of them is not on loopback', () => {
    const trustFolder = temporary.make();
    const secure = (options: Partial<TrustOptions>) => {
      const trust = inferenceTrust(
        { http: '127.0.0.1:0', grpc: '127.0.0.1:0', trustFolder, ...options },
        () => {},
      );
      return trust.tls !== undefined && trust.tokens !== undefined;
    };
    expect(secure({})).toBe(false);
    expect(secure({ http: '0.0.0.0:0' })).toBe(true);
    expect(secure({ grpc: '0.0.0.0:0' })).toBe(true);
    expect(secure({ grpc: 'grpcs://127.0.0.1:0' })).toBe(true);
    expect(secure({ requireToken: true })).toBe(true);
  });

  it.each<[Partial<TrustOptions>, RegExp]>([
    [{ http: 'http://0.0.0.0:80' }, /not a loopback address, .* write https:\/\/0\.0\.0\.0:80$/],
    [{ http: 'localhost' }, /"localhost" is not an address to listen on; write --listen HOST:PORT/],
    [{ grpc: 'http://localhost:1' }, /write --grpc HOST:PORT, for example --grpc 127.0.0.1:8001$/],
    [{ http: '127.0.0.1:70000' }, /is not an address to listen on/],
    [{ http: '0.0.0.0:80', behindProxy: 'a:443' }, /with --behind-proxy .* not on 0\.0\.0\.0$/],
  ])('%j is refused with one sentence', (options, sentence) => {
    const all = { http: '127.0.0.1:0', grpc: '127.0.0.1:0', trustFolder: temporary.make(), ...options };
    expect(() => inferenceTrust(all, () => {})).toThrow(sentence);
  });
});
