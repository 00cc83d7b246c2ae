import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectHttp2, createServer, type Http2Session, type Http2Stream } from 'node:http2';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import { EagerSocket } from '#farlight/link/grpc/eager-socket.js';

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0).reverse()) close();
});

const MOST_WINDOW = 2 ** 31 - 1;
const settings = { initialWindowSize: MOST_WINDOW };

/** Sends bytes, and reads as many. @returns a hash of those that were read. */
async function exchange(stream: Http2Stream, bytes: Buffer): Promise<string> {
  const hash = createHash('sha256');
  stream.on('data', (chunk: Buffer) => hash.update(chunk));
  stream.end(bytes);
  await once(stream, 'end');
  return hash.digest('hex');
}

const widen = (session: Http2Session) => session.setLocalWindowSize(MOST_WINDOW);

/** A socket, and the peer's end of it, at a server that reads nothing by itself. */
async function pair(): Promise<{ near: EagerSocket; socket: Socket; far: Socket }> {
  const server = createTcpServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [far] = (await once(server, 'connection')) as [Socket];
  closing.push(() => {
    server.close();
    far.destroy();
    socket.destroy();
  });
  return { near: new EagerSocket(socket), socket, far };
}

it('two ends of HTTP/2 that write more than the system takes read all the same, where one is eager', async () => {
  const up = randomBytes(32 << 20);
  const down = randomBytes(32 << 20);
  const server = createServer({ settings, maxSessionMemory: 1000 }).listen(0, '127.0.0.1');
  closing.push(() => server.close());
  server.on('session', widen);
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const client = connectHttp2('http://localhost', {
    settings,
    createConnection: () => new EagerSocket(socket),
  });
  closing.push(() => client.destroy());
  await once(client, 'remoteSettings');
  widen(client);
  const atServer = new Promise<string>((resolve) => {
    server.on('stream', (stream) => {
      stream.respond();
      void exchange(stream, down).then(resolve);
    });
  });
  const atClient = exchange(client.request({ ':method': 'POST' }), up);
  const of = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
  expect(await atServer).toBe(of(up));
  expect(await atClient).toBe(of(down));
});

it('an eager socket takes 64 MiB for a peer that reads nothing, and more only when the peer reads', async () => {
  const { near, far } = await pair();
  const chunk = Buffer.alloc(1 << 20);
  let taken = 0;
  for (let i = 0; i < 100; i += 1) {
    near.write(chunk, () => {
      taken += 1;
    });
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(taken).toBeGreaterThan(60);
  // The system's own buffers have taken a few MiB more.
  expect(taken).toBeLessThan(90);
  far.resume();
  await expect.poll(() => taken).toBe(100);
});

it('an eager socket ends with its peer, and passes on a broken connection', async () => {
  const ended = await pair();
  ended.far.end('last');
  const read: string[] = [];
  ended.near.on('data', (bytes: Buffer) => read.push(bytes.toString()));
  await once(ended.near, 'end');
  expect(read).toEqual(['last']);

  const broken = await pair();
  broken.far.resetAndDestroy();
  const [error] = (await once(broken.near.resume(), 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
  expect(broken.socket.destroyed).toBe(true);
});

it('an eager socket writes and ends without an error after its peer has ended', async () => {
  const { near, socket, far } = await pair();
  far.end('last');
  near.resume();
  await once(near, 'end');
  expect(socket.writable).toBe(false);
  for (const bytes of ['one', 'two', 'three']) near.write(bytes);
  near.end();
  await once(near, 'close');
  expect(near.errored).toBe(null);
});

it('an eager socket keeps the last bytes of a peer that has closed until they are read', async () => {
  const { near, socket, far } = await pair();
  far.end('last');
  near.once('readable', () => {});
  near.read(0);
  await once(socket, 'close');
  expect(String(near.read())).toBe('last');
  await once(near.resume(), 'close');
});

it('an eager socket that is destroyed closes its connection', async () => {
  const { near, far } = await pair();
  near.destroy();
  await once(far.resume(), 'close');
});
