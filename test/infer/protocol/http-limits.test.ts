import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { raw, serving, soon } from './served.js';

const servers = serving();
afterEach(() => servers.close());

const one = JSON.stringify({ inputs: [{ name: 'x', datatype: 'INT32', shape: [1], data: [1] }] });
const request = (model: string, body = one, extra = '') =>
  `POST /v2/models/${model}/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n${extra}\r\n${body}`;
const statuses = (text: Buffer) =>
  [...text.toString().matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

/** One read of the server's takes it whole: what a server leaves unread resets the connection, and its answer is lost. */
const LONG_HEADER = 40_000;

describe('limits of a client', () => {
  it.each<[string, string, number]>([
    ['headers that are too long', `GET /v2 HTTP/1.1\r\nx: ${'x'.repeat(LONG_HEADER)}\r\n\r\n`, 431],
    ['a request that is none', 'HELO me\r\n\r\n', 400],
    [
      'a length that is none',
      'POST /v2/models/simple/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: -5\r\n\r\n',
      400,
    ],
    ['two lengths', 'POST /v2 HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n', 400],
    [
      'a length and chunks',
      'POST /v2 HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'a length of 1 GiB',
      `POST /v2/models/simple/infer HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${2 ** 30}\r\nconnection: close\r\n\r\n`,
      413,
    ],
  ])('%s', async (_, text, status) => {
    const { port, server } = await servers.http({ idleMs: 300 });
    const answer = await raw(port, text);
    expect(statuses(answer)).toEqual([status]);
    expect(JSON.parse(answer.toString().split('\r\n\r\n')[1] ?? '')).toEqual({ error: expect.any(String) });
    expect(server.budget.taken).toBe(0);
  });

  it('a client that says nothing is disconnected', async () => {
    const { port } = await servers.http({ idleMs: 100 });
    // The server may still say why.
    expect(statuses(await raw(port)).every((status) => status === 408)).toBe(true);
  });

  it('a body that stops is given up', async () => {
    const { port, server } = await servers.http({ idleMs: 1000 });
    const text =
      'POST /v2/models/simple/infer HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10\r\n\r\n{';
    expect(statuses(await raw(port, text))).toEqual([408]);
    expect(server.budget.taken).toBe(0);
  });

  it('a body that drips is given up after the time of a request', async () => {
    const { port, server } = await servers.http({ idleMs: 200, requestMs: 400 });
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.write(request('simple', one).slice(0, -one.length));
    const drip = setInterval(() => socket.write(' '), 20);
    await new Promise((resolve) => socket.once('close', resolve));
    clearInterval(drip);
    expect(statuses(Buffer.concat(chunks)).every((status) => status === 408)).toBe(true);
    await soon(() => expect(server.budget.taken).toBe(0));
  });

  it('bodies in chunks are bounded like others', async () => {
    const { url } = await servers.http({ limit: 1000 });
    const stream = new ReadableStream({
      pull(controller) {
        controller.enqueue(new Uint8Array(600));
      },
    });
    const asked = fetch(`${url}/v2/models/simple/infer`, {
      method: 'POST',
      body: stream,
      duplex: 'half',
    } as RequestInit);
    expect((await asked).status).toBe(413);
  });

  it('the memory of all requests is bounded, and says when to come back', async () => {
    const { url, server } = await servers.http({ budget: 1000 });
    const response = await fetch(`${url}/v2/models/simple/infer`, { method: 'POST', body: 'x'.repeat(2000) });
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    await response.text();
    await soon(() => expect(server.budget.taken).toBe(0));
  });
});

describe('several requests on one connection', () => {
  it('pipelined requests are answered in order', async () => {
    const { port, service } = await servers.http();
    const socket = connect(port, '127.0.0.1');
    const chunks: Buffer[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.write(request('slow') + request('nosuch') + request('echo-INT32'));
    await soon(() => expect(service.waiting).toHaveLength(1));
    await soon(() => expect(service.asked).toHaveLength(3));
    expect(chunks).toEqual([]);
    service.waiting[0]?.release();
    await soon(() => expect(statuses(Buffer.concat(chunks))).toEqual([200, 404, 200]));
    socket.destroy();
  });

  it('a client with too many pipelined requests is told so, and disconnected', async () => {
    const { port, service } = await servers.http();
    const answers = raw(port, request('slow').repeat(40));
    await soon(() => expect(service.waiting).toHaveLength(16));
    for (const { release } of service.waiting) release();
    expect(statuses(await answers)).toEqual([...Array(16).fill(200), 429]);
  });

  it('a long computation is no idle connection', async () => {
    const { port, service } = await servers.http({ idleMs: 1000 });
    const answers = raw(port, request('slow') + request('slow', one, 'connection: close\r\n'));
    await soon(() => expect(service.waiting).toHaveLength(2));
    const [first, second] = service.waiting;
    second?.release();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    first?.release();
    expect(statuses(await answers)).toEqual([200, 200]);
  });
});

describe('a client that does not read its answer', () => {
  it('a client that does not read its answer is disconnected, and stalls no others', async () => {
    const { port, url, server } = await servers.http({ limit: 64 << 20, budget: 256 << 20, idleMs: 300 });
    const elements = 8 << 20;
    const json = JSON.stringify({
      inputs: [
        { name: 'x', datatype: 'UINT8', shape: [elements], parameters: { binary_data_size: elements } },
      ],
      parameters: { binary_data_output: true },
    });
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.pause();
    socket.write(
      `POST /v2/models/echo-UINT8/infer HTTP/1.1\r\nhost: localhost\r\ninference-header-content-length: ${json.length}\r\ncontent-length: ${json.length + elements}\r\n\r\n${json}`,
    );
    socket.write(new Uint8Array(elements));
    await soon(() => expect(server.budget.taken).toBeGreaterThan(2 * elements));
    expect((await fetch(`${url}/v2/models/echo-INT32/infer`, { method: 'POST', body: one })).status).toBe(
      200,
    );
    await soon(() => expect(server.budget.taken).toBe(0));
    socket.resume();
    await closed;
  });
});

describe('the end of the server', () => {
  it('a server that ends answers its open requests, and nothing more', async () => {
    const { port, service, server } = await servers.http();
    const answers = raw(port, request('slow'));
    await soon(() => expect(service.waiting).toHaveLength(1));
    const closed = server.close(10_000);
    await expect(fetch(`http://127.0.0.1:${port}/v2`)).rejects.toThrow();
    service.waiting[0]?.release();
    expect(statuses(await answers)).toEqual([200]);
    await closed;
  });

  it('a server that ends cuts connections that go on for too long', async () => {
    const { port, service, server } = await servers.http();
    const answers = raw(port, request('slow'));
    await soon(() => expect(service.waiting).toHaveLength(1));
    await server.close(50);
    expect(statuses(await answers)).toEqual([]);
    await soon(() => expect(service.waiting[0]?.signal?.aborted).toBe(true));
  });
});
