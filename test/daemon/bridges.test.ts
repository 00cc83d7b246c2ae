import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { Bridges } from '#farlight/server/daemon/door/bridges.js';
import { FrontDoor } from '#farlight/server/daemon/door/front-door.js';
import { serverTlsOptions } from '#farlight/server/trust/host-tls.js';
import { OWNER } from '#farlight/server/trust/local-users.js';
import { secureLine } from '../support/hosts/secure-host.js';
import { until } from '../support/machine/processes.js';
import { makePair } from '../support/trust/trust.js';

let base: string;
let bridges: Bridges;
let server: Server;
const sockets: Socket[] = [];
beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'fb-'));
  bridges = await Bridges.open(base);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server?.close();
  await bridges.close(0);
  rmSync(base, { recursive: true, force: true });
});

const ended = (socket: Socket) => new Promise<void>((resolve) => socket.once('close', () => resolve()));

/** A client's connection, and the far end for an executor. */
async function carried(): Promise<{ client: Socket; outer: Socket; end: Socket }> {
  server = createServer({ pauseOnConnect: true });
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  const client = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const outer = await accepted;
  const end = await new Promise<Socket>((resolve, reject) => {
    bridges.carry(
      outer,
      (far) => {
        resolve(far);
        return true;
      },
      reject,
    );
  });
  for (const socket of [client, outer, end]) sockets.push(socket.on('error', () => {}));
  return { client, outer, end };
}

function collect(socket: Socket): () => Buffer {
  const pieces: Buffer[] = [];
  socket.on('data', (piece) => pieces.push(piece));
  return () => Buffer.concat(pieces);
}

describe('a bridge', () => {
  it('carries bytes both ways, complete and in order', async () => {
    const { client, end } = await carried();
    const up = Buffer.from(Uint8Array.from({ length: 3 << 20 }, (_, at) => at % 251));
    const down = Buffer.from(Uint8Array.from({ length: 3 << 20 }, (_, at) => at % 241));
    const [heard, told] = [collect(end), collect(client)];
    client.write(up);
    end.write(down);
    await until(() => heard().length === up.length && told().length === down.length);
    expect(heard().equals(up) && told().equals(down)).toBe(true);
  });

  it('fails where the bridges close before its ends have met', async () => {
    const emit = Server.prototype.emit as (this: Server, name: string, ...rest: unknown[]) => boolean;
    const closing = function (this: Server, name: string, ...rest: unknown[]): boolean {
      const isHeard = emit.call(this, name, ...rest);
      // Its name is not read yet.
      if (name === 'connection') void bridges.close(0);
      return isHeard;
    };
    vi.spyOn(Server.prototype, 'emit').mockImplementation(closing as never);
    onTestFinished(() => void vi.restoreAllMocks());
    const failed = new Promise<Error>((resolve, reject) => {
      const used = () => {
        reject(new Error('it was carried'));
        return true;
      };
      bridges.carry(new PassThrough(), used, resolve);
    });
    expect((await failed).message).toBe('closed');
  });

  it('buffers little for a side that does not read', async () => {
    const { client, end } = await carried();
    end.pause();
    let sent = 0;
    for (let i = 0; i < 64; i++) client.write(new Uint8Array(1 << 20), () => (sent += 1 << 20));
    let before = -1;
    while (sent !== before) {
      before = sent;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    expect(client.writableLength).toBeGreaterThan(32 << 20);
    let heard = 0;
    end.on('data', (piece) => (heard += piece.length));
    end.resume();
    await until(() => heard === 64 << 20);
  });

  it('lets a side that has finished sending still receive', async () => {
    const { client, end } = await carried();
    const told = collect(client);
    end.resume();
    end.allowHalfOpen = true;
    client.end('bye');
    await new Promise((resolve) => end.once('end', resolve));
    end.end('the end');
    await ended(client);
    expect(told().toString()).toBe('the end');
    await until(() => bridges.size === 0);
  });

  it('closes one side when the other breaks', async () => {
    const one = await carried();
    one.end.resume();
    one.client.resetAndDestroy();
    await ended(one.end);
    server.close();
    const other = await carried();
    other.client.resume();
    other.end.destroy();
    await new Promise((resolve) => other.client.once('end', resolve));
    other.client.end();
    await until(() => bridges.size === 0);
  });

  it('leaves a connection alone that nobody needs any more', async () => {
    const { outer } = await carried();
    await new Promise<void>((resolve, reject) => {
      bridges.carry(
        outer,
        () => {
          setImmediate(resolve);
          return false;
        },
        reject,
      );
    });
    expect(outer.destroyed).toBe(false);
    expect(bridges.size).toBe(1);
  });

  it('reports a bridge that cannot be made', async () => {
    const { outer } = await carried();
    for (const folder of readdirSync(base)) rmSync(join(base, folder), { recursive: true });
    const cause = await new Promise<Error>((resolve) => {
      bridges.carry(outer, () => true, resolve);
    });
    expect(cause).toMatchObject({ code: 'ENOENT' });
  });
});

describe('the folder of bridges', () => {
  it('cannot be made on Windows, and one sentence says what the host can do there', async () => {
    await expect(Bridges.open(base, 'win32')).rejects.toThrow(
      /^on Windows a host serves neither TLS nor web pages: .* listen on loopback with --no-dashboard, or run the host in WSL$/,
    );
  });

  it('is private to this user, and disappears with its daemon', async () => {
    const [folder = ''] = readdirSync(base);
    expect(statSync(join(base, folder)).mode & 0o777).toBe(0o700);
    await bridges.close(0);
    expect(readdirSync(base)).toEqual([]);
  });

  it('rejects a connection that does not name a bridge', async () => {
    const [folder = ''] = readdirSync(base);
    const stranger = new Socket().on('error', () => {}).connect(join(base, folder, 's'));
    stranger.resume().write('x'.repeat(16));
    await ended(stranger);
  });

  it('removes the folder of a killed daemon, and keeps that of a living one', async () => {
    const script = `const { Bridges } = await import(process.argv[1]);
      await Bridges.open(process.argv[2]); console.log('open'); setInterval(() => {}, 1000);`;
    const module = new URL('../../dist/server/daemon/door/bridges.js', import.meta.url).href;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script, module, base]);
    await new Promise((resolve) => child.stdout.once('data', resolve));
    expect(readdirSync(base)).toHaveLength(2);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    mkdirSync(join(base, 'farlight-bridges-making'));
    const living = readdirSync(base).length;
    const next = await Bridges.open(base);
    // The stale folder is gone; the new daemon's, ours and the unfinished one are there.
    expect(readdirSync(base)).toHaveLength(living);
    expect(existsSync(join(base, 'farlight-bridges-making'))).toBe(true);
    await next.close(0);
    expect(readdirSync(base)).toHaveLength(2);
  });
});

describe('a host that starts', () => {
  it('keeps its folder where another host starts before it listens', async () => {
    const { listen } = Server.prototype;
    const listening = vi.spyOn(Server.prototype, 'listen');
    let other: Promise<Bridges> | undefined;
    // A socket has its name, and refuses connections, until the system lets its server listen.
    listening.mockImplementationOnce(function (this: Server, where: unknown, ...more: unknown[]) {
      const { path } = where as { path: string };
      const bound = createServer();
      listen.call(bound, { path: `${path}-bound` }, () => {
        renameSync(`${path}-bound`, path);
        bound.close(async () => {
          other = Bridges.open(base);
          await other;
          rmSync(path, { force: true });
          Reflect.apply(listen, this, [where, ...more]);
        });
      });
      return this;
    });
    const one = await Bridges.open(base);
    expect(readdirSync(base)).toHaveLength(3);
    const outer = new PassThrough();
    const end = await new Promise<Socket>((resolve, reject) => {
      one.carry(outer, (socket) => resolve(socket) === undefined, reject);
    });
    sockets.push(end);
    for (const each of [one, await other]) await each?.close(0);
  });
});

describe('bridges that fail to open', () => {
  it('leave no folder behind', async () => {
    const folder = mkdtempSync(join(base, 'other-'));
    const listen = vi.spyOn(Server.prototype, 'listen').mockImplementationOnce(function (this: Server) {
      queueMicrotask(() => this.emit('error', new Error('no')));
      return this;
    });
    await expect(Bridges.open(folder)).rejects.toThrow(
      /cannot make a socket for TLS connections in .* \(no\)/,
    );
    listen.mockRestore();
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('the front door', () => {
  it('counts connections in a TLS handshake as unknown', async () => {
    const pair = makePair();
    const requests: unknown[] = [];
    const refusals: string[] = [];
    const door = new FrontDoor({
      near: true,
      waiting: { most: 2, mostOfNetwork: 2 },
      tls: serverTlsOptions(pair, { protocols: ['farlight', 'h2'] }),
      onGrpc: () => {},
      userOf: async () => OWNER,
      socketMode: 0o600,
      onSessionRequest: (request) => requests.push(request),
      onRefused: ({ code }) => refusals.push(code),
    });
    const address = { target: '', tls: true, host: '127.0.0.1', port: 0, url: () => '' };
    const port = await door.listen(address);
    const silent = [1, 2].map(() => connect(port, '127.0.0.1').on('error', () => {}));
    await Promise.all(silent.map((each) => new Promise<void>((resolve) => each.once('connect', resolve))));
    const late = connect(port, '127.0.0.1').on('error', () => {});
    await ended((silent[0] as Socket).resume());
    expect(refusals).toEqual(['BUSY']);
    for (const each of [...silent, late]) each.destroy();
    const secured = () =>
      new Promise<boolean>((resolve) => {
        const line = secureLine(port);
        sockets.push(line);
        line.once('secureConnect', () => resolve(true)).once('error', () => resolve(false));
      });
    while (!(await secured()));
    door.close();
  });
});
