import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePortalAddress } from '#farlight/pool/portal/client/portal-address.js';
import { PortalClient } from '#farlight/pool/portal/client/portal-client.js';
import { OPEN_API } from '#farlight/pool/portal/http/openapi.js';
import { PortalMetrics } from '#farlight/pool/portal/http/portal-metrics.js';
import { portalRoutes } from '#farlight/pool/portal/http/portal-routes.js';
import { PortalServer } from '#farlight/pool/portal/http/portal-server.js';
import { portalTrust } from '#farlight/pool/portal/http/portal-trust.js';
import { Portal } from '#farlight/pool/portal/portal.js';

const nothing = () => {};
const log = { info: nothing, warn: nothing, error: nothing };
const portal = new Portal({ pools: [], version: '1.2.3', log, standing: () => ({ weight: 1, most: 1 }) });
const metrics = new PortalMetrics(portal, '1.2.3');
const routes = portalRoutes({ portal, tokens: undefined, metrics: () => metrics.read(), onError: nothing });

let server: PortalServer;
let port: number;
beforeAll(async () => {
  const trust = portalTrust({ listen: '127.0.0.1:0' }, nothing);
  server = new PortalServer({ trust, routes, onError: nothing });
  port = await server.listen();
});
afterAll(() => server.close());

function ask(method: string, path: string, headers: Record<string, string> = {}, body = '') {
  return new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
    const sent = request(
      { host: '127.0.0.1', port, method, path, headers, agent: false },
      async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode, text });
      },
    );
    sent.once('error', reject);
    sent.end(body);
  });
}

describe('the HTTP server of a portal', () => {
  it('describes each of its routes in OpenAPI, and no others', () => {
    const { paths } = OPEN_API as { paths: Record<string, object> };
    const described = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const served = routes.map(({ method, path }) => `${method} ${path}`);
    const ofApi = served.filter((each) => / (\/v1\/|\/metrics)/.test(each) && !each.endsWith('openapi.json'));
    expect(ofApi.sort()).toEqual(described.sort());
  });

  it('answers programs of this machine and its own page, and no other page or name', async () => {
    const status = async (headers: Record<string, string>) =>
      (await ask('GET', '/v1/portal', headers)).status;
    expect(await status({})).toBe(200);
    expect(await status({ origin: `http://127.0.0.1:${port}`, host: `127.0.0.1:${port}` })).toBe(200);
    expect(await status({ origin: 'https://evil.example' })).toBe(403);
    expect(await status({ 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await status({ host: 'evil.example' })).toBe(421);
  });

  it('says in a sentence what is wrong with a request', async () => {
    const said = async (...asked: Parameters<typeof ask>) => {
      const { status, text } = await ask(...asked);
      return [status, JSON.parse(text).error];
    };
    expect(await said('GET', '/v1/nothing')).toEqual([
      404,
      'there is no /v1/nothing; /v1/openapi.json says what there is',
    ]);
    expect(await said('PUT', '/v1/portal')).toEqual([405, '/v1/portal takes GET, and not PUT']);
    expect(await said('POST', '/v1/pools/gpu/bookings')).toEqual([
      404,
      'the portal has no pool gpu; name one of: ',
    ]);
    expect((await said('GET', '/v1/bookings/x'))[0]).toBe(404);
  });

  it('gives its page to everybody, with a policy that lets nothing else run', async () => {
    const { status, text } = await ask('GET', '/');
    expect([status, text]).toEqual([200, expect.stringContaining('<h1>Farlight portal</h1>')]);
    expect((await ask('GET', '/portal-link.js')).status).toBe(200);
  });

  it('has metrics', async () => {
    const { text } = await ask('GET', '/metrics');
    expect(text).toContain('farlight_build_info{version="1.2.3"} 1');
    expect(text).toContain('# TYPE farlight_pool_gpu_seconds_total counter');
  });
});

describe('a portal that is killed as a program connects', () => {
  it('cannot be reached, and the program gets one sentence', async () => {
    let after = 0;
    const server = createServer((socket) => {
      after += 0.2;
      setTimeout(() => socket.resetAndDestroy(), after);
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const client = new PortalClient(parsePortalAddress(`http://127.0.0.1:${port}`));
    for (let count = 0; count < 20; count += 1)
      await expect(client.ask('GET', '/v1/portal')).rejects.toThrow(
        /^no portal at http:.*; start one there with/,
      );
    client.close();
    server.close();
  });
});

describe('a portal that takes connections and never answers', () => {
  it('is asked for a host twice, and then the program gets one sentence', async () => {
    let asked = 0;
    const server = createServer((socket) => {
      asked += 1;
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const client = new PortalClient(parsePortalAddress(`http://127.0.0.1:${port}`), 50);
    await expect(client.book('pool', {})).rejects.toThrow(
      /^the portal http:\S+ is silent \(no answer within 0.05 seconds\); see that it runs/,
    );
    expect(asked).toBe(2);
    client.close();
    server.close();
  });
});

describe('the address of a portal', () => {
  const TOKEN = `flt_${'x'.repeat(43)}`;
  const PIN = '2n28GCDC0L6VCWexIArk65can90_G5pUoBKCy5xZEzE';

  it('has host, port, pool, token and key', () => {
    const whole = parsePortalAddress(`pool+https://${TOKEN}@gpu.example:7075/a100?ca=${PIN}`, {});
    expect(whole).toEqual({
      origin: 'https://gpu.example:7075',
      isSecure: true,
      host: 'gpu.example',
      port: 7075,
      pin: PIN,
      token: TOKEN,
      pool: 'a100',
    });
    const env = { FARLIGHT_PORTAL_TOKEN: TOKEN };
    expect(parsePortalAddress('https://gpu.example', env)).toMatchObject({
      port: 443,
      token: TOKEN,
      pool: '',
    });
    expect(parsePortalAddress('pool+http://[::1]:7075/p', env)).toMatchObject({
      host: '::1',
      token: undefined,
    });
  });

  it.each([
    ['pool+http://gpu.example/p', /is plaintext/],
    [`pool+http://${TOKEN}@127.0.0.1/p`, /is plaintext/],
    [`pool+https://${TOKEN.slice(0, 20)}@gpu.example/p`, /not a whole token/],
    ['pool+https://gpu.example/p?ca=short', /the ca in .* is not whole/],
    ['pool+https://gpu.example/p/q', /is not a portal's address/],
    ['pool+ftp://gpu.example/p', /is not a portal's address/],
  ])('is refused without its token in the sentence: %s', (text, why) => {
    expect(() => parsePortalAddress(text, {})).toThrow(why);
    expect(() => parsePortalAddress(text, {})).not.toThrow(/flt_x/);
  });
});
