import { request } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { PageServer, parsePageAddress } from '#farlight/page/page-server.js';

const ANYBODY = async () => true;
const servers: PageServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function serve(prepare: (server: PageServer) => void = () => {}): Promise<PageServer> {
  const server = new PageServer({ address: '127.0.0.1:0', mayLook: ANYBODY, onError: () => {} });
  servers.push(server);
  server.on('/', (_, response) => void response.end('hello'));
  prepare(server);
  await server.listen();
  return server;
}

interface Answer {
  status: number | undefined;
  headers: NodeJS.Dict<string | string[]>;
  body: string;
}

function ask(server: PageServer, path: string, headers = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(`${server.url}${path}`, { method, headers, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => {
        body += text;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    });
    asking.on('error', reject).end();
  });
}

/** The first line of the answer to an upgrade; empty where the connection was only closed. */
function upgrade(server: PageServer, path: string, headers: Record<string, string> = {}): Promise<string> {
  const { port, host } = new URL(server.url);
  const lines = Object.entries({ Host: host, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(Number(port), '127.0.0.1');
    socket.on('data', (bytes) => {
      text += bytes;
    });
    socket.on('close', () => resolve(text.split('\r\n')[0] ?? ''));
    socket.write(
      `GET ${path} HTTP/1.1\r\n${lines.join('')}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n`,
    );
  });
}

describe('the page server', () => {
  it('answers on its routes, and with 404 elsewhere', async () => {
    const server = await serve();
    expect(await ask(server, '/?x=1')).toMatchObject({ status: 200, body: 'hello' });
    expect(await ask(server, '/%2e%2e/etc/passwd')).toMatchObject({ status: 404 });
    expect(await ask(server, '/', {}, 'POST')).toMatchObject({
      status: 405,
      headers: { allow: 'GET, HEAD' },
    });
  });

  it.each(['localhost:9000', '127.0.0.1', '127.9.9.9:80', '[::1]:7071'])(
    'answers under the host name %s',
    async (Host) => {
      expect(await ask(await serve(), '/', { Host })).toMatchObject({ status: 200 });
    },
  );

  it.each([
    'attacker.example',
    '127.0.0.1.attacker.example:7071',
    'localhost.attacker.example',
    '10.0.0.1:7071',
  ])('refuses a request for the host name %s, as in a DNS rebinding attack', async (Host) => {
    const answer = await ask(await serve(), '/', { Host });
    expect(answer).toMatchObject({ status: 421 });
    expect(answer.body).not.toContain('hello');
  });

  it.each([
    ['its origin', { Origin: 'https://attacker.example' }],
    ['the origin of another port', { Origin: 'http://127.0.0.1:1' }],
    ['no origin of its own', { Origin: 'null' }],
    ['an image', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' }],
    ['a frame', { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' }],
  ])('refuses a page of another site that asks with %s', async (_, headers) => {
    expect(await ask(await serve(), '/', headers)).toMatchObject({ status: 403 });
  });

  it('allows a person to follow a link to it, and its own page to ask', async () => {
    const server = await serve();
    const link = {
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
    };
    expect(await ask(server, '/', link)).toMatchObject({ status: 200 });
    const own = { Origin: server.url, 'Sec-Fetch-Site': 'same-origin' };
    expect(await ask(server, '/', own)).toMatchObject({ status: 200 });
  });

  it('lets no page run or load foreign files, and no foreign page read it', async () => {
    for (const path of ['/', '/nothing']) {
      const { headers } = await ask(await serve(), path);
      expect(headers['content-security-policy']).toMatch(
        /^default-src 'none'; script-src 'self'; style-src 'self';/,
      );
      expect(headers['content-security-policy']).not.toMatch(/unsafe|\*|https?:/);
      expect(headers).toMatchObject({
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
      });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('tells only the log why a handler failed', async () => {
    const errors: unknown[] = [];
    const server = new PageServer({
      address: '127.0.0.1:0',
      mayLook: ANYBODY,
      onError: (error) => errors.push(error),
    });
    servers.push(server);
    server.on('/broken', () => Promise.reject(new Error('the secret')));
    await server.listen();
    const answer = await ask(server, '/broken');
    expect(answer).toMatchObject({ status: 500 });
    expect(answer.body).not.toContain('secret');
    expect(errors).toHaveLength(1);
  });

  it('hands over upgrades from its own pages and from programs', async () => {
    const server = await serve((it) => {
      it.onUpgrade('/session', (_, socket) => void socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
      it.onUpgrade('/open', {
        handler: (_, socket) => void socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n'),
        allowsOrigin: (origin) => origin === 'http://localhost:5173',
      });
    });
    expect(await upgrade(server, '/session')).toContain('101');
    expect(await upgrade(server, '/session', { Origin: server.url })).toContain('101');
    expect(await upgrade(server, '/session', { Origin: 'http://localhost:5173' })).toContain('403');
    expect(
      await upgrade(server, '/session', { Host: 'attacker.example', Origin: 'http://attacker.example' }),
    ).toContain('421');
    expect(await upgrade(server, '/open', { Origin: 'http://localhost:5173' })).toContain('101');
    expect(await upgrade(server, '/open', { Origin: 'http://attacker.example' })).toContain('403');
    expect(await upgrade(server, '/elsewhere')).toContain('404');
  });

  it('leaves no connection behind when it closes, neither a running answer nor an upgraded one', async () => {
    const server = await serve((it) => {
      it.on('/events', (_, response) => void response.write('first'));
      it.onUpgrade('/session', (_, socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
    });
    const events = ask(server, '/events').catch((error: Error) => error);
    const session = upgrade(server, '/session');
    await ask(server, '/');
    await server.close();
    expect(await events).toBeInstanceOf(Error);
    expect(await session).toContain('101');
    await expect(ask(server, '/')).rejects.toThrow(/ECONNREFUSED/);
  });

  it('names the address on which it cannot listen', async () => {
    const first = await serve();
    const second = new PageServer({
      address: first.url.replace('http://', ''),
      mayLook: ANYBODY,
      onError: () => {},
    });
    servers.push(second);
    await expect(second.listen()).rejects.toThrow(/is in use already; choose another with --dashboard/);
  });
});

describe('the address of the page', () => {
  it.each([
    ['127.0.0.1:7071', { host: '127.0.0.1', port: 7071 }],
    ['localhost:0', { host: 'localhost', port: 0 }],
    ['[::1]:80', { host: '::1', port: 80 }],
  ])('is parsed: %s', (text, address) => {
    expect(parsePageAddress(text)).toEqual(address);
  });

  it.each(['0.0.0.0:7071', '[::]:7071', '192.0.2.7:7071', 'gpu.example:7071', '127.0.0.1.example:7071'])(
    'is refused where other machines could connect: %s',
    (text) => {
      expect(() => parsePageAddress(text)).toThrow(/shows every tenant.*ssh -L 7071:127\.0\.0\.1:7071/);
    },
  );

  it.each(['', '7071', '127.0.0.1', '127.0.0.1:99999', 'unix:/x', 'http://127.0.0.1:7071'])(
    'is refused where it is malformed: %s',
    (text) => {
      expect(() => parsePageAddress(text)).toThrow(/is not an address for the dashboard; write HOST:PORT/);
    },
  );
});
