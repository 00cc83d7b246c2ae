import { createHook } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { HostClient } from '#farlight/client/transport/host/host-client.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { dataHeader, encodeCount, encodeObject, PACKET, PREFACE } from '#farlight/proto/wire/packet.js';
import type { Daemon } from '#farlight/server/daemon.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { fakeHosts, pidOf } from '../support/hosts/fake-hosts.js';
import { CuttingProxy } from '../support/lines/cutting-proxy.js';
import { freePort } from '../support/machine/free-port.js';
import { isAlive, until } from '../support/machine/processes.js';
import { folders } from '../support/trust/trust.js';

const { Client, credentials } = createRequire(import.meta.url)(
  '@grpc/grpc-js',
) as typeof import('@grpc/grpc-js');

const start = fakeHosts();
const temporary = folders();
afterAll(() => temporary.remove());

const open = (daemon: Daemon, hello = HELLO) => new SessionClient(remoteHost(daemon.url), hello);

describe('sessions', () => {
  it('each session has its own executor process', async () => {
    const daemon = await start();
    const [a, b] = [open(daemon), open(daemon)];
    expect(await pidOf(a)).not.toBe(await pidOf(b));
    expect((await a.welcome).sessionId).not.toBe((await b.welcome).sessionId);
  });

  it('each session gets its own replies, in the order of its commands', async () => {
    const daemon = await start();
    const clients = [open(daemon), open(daemon)];
    for (let i = 0; i < 50; i++) {
      for (const [index, client] of clients.entries())
        client.link.send(Uint8Array.from([ACTION.echo, index, i]));
    }
    for (const [index, client] of clients.entries()) {
      for (let i = 0; i < 50; i++) expect([...(await client.next())]).toEqual([ACTION.echo, index, i]);
    }
  });

  it('a session ends with a reason when its executor is killed, and the daemon serves the next one', async () => {
    const daemon = await start();
    const victim = open(daemon);
    const other = open(daemon);
    await Promise.all([victim.welcome, other.welcome]);
    victim.link.send(Uint8Array.from([ACTION.kill]));
    const reason = await victim.closed;
    expect(reason?.code).toBe('EXECUTOR_LOST');
    expect(reason?.message).toMatch(/SIGKILL.*start the program again/);
    expect([...(await other.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
    expect([...(await open(daemon).ask(ACTION.echo, 2))]).toEqual([ACTION.echo, 2]);
    expect(daemon.counters.executorsLost).toBe(1);
  });

  it('a session ends with a reason when its executor exits or throws', async () => {
    const daemon = await start();
    for (const [action, words] of [
      ['exit', /exited with code 3/],
      ['throw', /a bug in the executor/],
    ] as const) {
      const client = open(daemon);
      client.link.send(Uint8Array.from([ACTION[action]]));
      expect(await client.closed).toMatchObject({
        code: 'EXECUTOR_LOST',
        message: expect.stringMatching(words),
      });
    }
  });

  it('a session that breaks the protocol ends with a sentence of the executor, after the earlier replies', async () => {
    const client = open(await start());
    expect([...(await client.ask(ACTION.end, 5))]).toEqual([ACTION.end, 5]);
    expect(await client.closed).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: 'the client sent nonsense',
    });
    expect(client.log.at(-1)).toBe('close');
  });

  it('sessions work over a unix socket too', async () => {
    const daemon = await start({ listen: `unix:${join(temporary.make(), 'host.sock')}` });
    expect([...(await open(daemon).ask(ACTION.echo, 7))]).toEqual([ACTION.echo, 7]);
  });

  it('sessions beyond the limit are refused until there is room', async () => {
    const daemon = await start({ maxSessions: 1 });
    const first = open(daemon);
    await first.welcome;
    expect(await open(daemon).closed).toMatchObject({ code: 'BUSY' });
    first.link.close();
    await first.closed;
    await until(() => daemon.counters.sessionsActive === 0);
    await open(daemon).welcome;
    expect(daemon.counters).toMatchObject({ sessionsOpened: 2, sessionsRefused: 1 });
  });
});

describe('flow', () => {
  it('commands stop while the executor takes none, and none is lost', async () => {
    const client = open(await start());
    await client.welcome;
    client.link.send(Uint8Array.from([ACTION.stall]));
    let waited = 0;
    for (let i = 0; i < 48; i++) {
      const frame = new Uint8Array(1024 * 1024).fill(i);
      frame[0] = 255;
      if (!client.link.send(frame)) {
        waited++;
        await until(() => client.log.includes('drain'));
        client.log.length = 0;
      }
    }
    expect(waited).toBeGreaterThan(0);
    expect([...(await client.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
  });

  it('replies stop while the client takes none, and continue when it does', async () => {
    const daemon = await start();
    const client = new RawClient(daemon.url).hello();
    await client.next(PACKET.welcome);
    for (let i = 0; i < 3; i++) client.frame(Uint8Array.of(ACTION.flood));
    const sent = 3 * 64;
    let last = 0;
    // Wait until no more bytes move.
    while (last === 0 || last !== client.packets.length) {
      last = client.packets.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    // The bytes on their way are bounded.
    expect(last).toBeLessThanOrEqual(LIMITS.windowBytes / 2 ** 20 + 2);
    const received: number[] = [];
    while (received.length < sent) {
      const [first = -1] = await client.next(PACKET.data);
      received.push(first);
      client.socket.write(encodeCount(PACKET.ack, received.length));
    }
    expect(received).toEqual(Array.from({ length: sent }, (_, i) => i % 64));
    client.socket.destroy();
  });

  it('carries the longest frame both ways, and ends a connection that announces a longer one', async () => {
    const daemon = await start();
    const client = open(daemon);
    const frame = new Uint8Array(LIMITS.frameBytes).fill(3);
    frame[0] = ACTION.echo;
    client.link.send(frame.slice());
    expect(Buffer.compare(await client.next(), frame)).toBe(0);
    const raw = new RawClient(daemon.url).hello();
    await raw.next(PACKET.welcome);
    raw.socket.write(dataHeader(LIMITS.frameBytes + 1));
    await raw.closed;
    expect([...(await client.ask(ACTION.echo, 1))]).toEqual([ACTION.echo, 1]);
  });
});

describe('a client that breaks the rules', () => {
  const sentence = {
    code: 'PROTOCOL_ERROR',
    message: expect.stringMatching(/begins with (a )?Hello or Resume/),
  };

  it('learns that a session begins with a short Hello', async () => {
    const daemon = await start();
    const hasty = new RawClient(daemon.url);
    hasty.socket.write(PREFACE);
    hasty.frame(Uint8Array.of(1));
    expect(await hasty.object(PACKET.end)).toMatchObject(sentence);
    const verbose = new RawClient(daemon.url);
    verbose.socket.write(PREFACE);
    verbose.say(PACKET.hello, { ...HELLO, program: 'x'.repeat(100_000) });
    expect(await verbose.object(PACKET.end)).toMatchObject(sentence);
    expect([...(await open(daemon).ask(ACTION.echo))]).toEqual([ACTION.echo]);
  });

  it('learns that its Hello or Resume is incomplete', async () => {
    const daemon = await start();
    for (const [kind, value] of [
      [PACKET.hello, { protocolMin: 2 }],
      [PACKET.resume, { sessionId: 7, taken: 0, attempt: 1 }],
      [PACKET.resume, { sessionId: 'x', taken: '0', attempt: 1 }],
      [PACKET.resume, { sessionId: 'x', taken: 0 }],
    ] as const) {
      const client = new RawClient(daemon.url);
      client.socket.write(PREFACE);
      client.say(kind, value);
      expect(await client.object(PACKET.end)).toMatchObject({ code: 'PROTOCOL_ERROR' });
    }
  });

  it('loses its session after a second Hello, an empty frame, or an acknowledgement of an unsent frame', async () => {
    const daemon = await start();
    for (const wrong of [
      encodeObject(PACKET.hello, HELLO),
      dataHeader(0),
      encodeCount(PACKET.ack, 5),
      encodeObject(PACKET.ack, {}),
    ]) {
      const client = new RawClient(daemon.url).hello();
      await client.next(PACKET.welcome);
      const { sessionsActive } = daemon.counters;
      client.socket.write(wrong);
      await client.closed;
      expect(sessionsActive).toBeGreaterThan(0);
    }
    expect([...(await open(daemon).ask(ACTION.echo, 3))]).toEqual([ACTION.echo, 3]);
  });

  it('learns both versions where it shares no protocol version with the host', async () => {
    const daemon = await start();
    const reason = await open(daemon, { ...HELLO, protocolMin: 7, protocolMax: 9, version: '9.9.9' }).closed;
    expect(reason?.code).toBe('VERSION_MISMATCH');
    expect(reason?.message).toMatch(/protocol 7 to 9 \(farlight 9\.9\.9\).*protocol 3 \(farlight \d/);
  });
});

describe('a host without a GPU', () => {
  it('does not start without a GPU, and says why', async () => {
    await expect(start({ adapter: 'none' })).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      message: 'there is no GPU here; install one',
    });
    await expect(start({ adapter: 'crash' })).rejects.toMatchObject({
      code: 'EXECUTOR_LOST',
      message: expect.stringMatching(/SIGSEGV/),
    });
  });

  it('with `withoutGpu` serves without a GPU, and says why there is none', async () => {
    const daemon = await start({ adapter: 'none', withoutGpu: true });
    const client = new HostClient(daemon.url);
    expect(await client.describe()).toMatchObject({ adapterProblem: 'there is no GPU here; install one' });
    client.close();
    expect(await open(daemon).closed).toMatchObject({
      code: 'NO_ADAPTER',
      message: 'there is no GPU here; install one',
    });
  });
});

describe('health', () => {
  async function check(daemon: Daemon, service: string): Promise<{ code: number; reply: number[] }> {
    const client = new Client(daemon.url.replace('grpc://', ''), credentials.createInsecure());
    const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
    const result = await new Promise<{ code: number; reply: number[] }>((resolve) =>
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        (bytes: Buffer) => bytes,
        (bytes: Buffer) => bytes,
        request,
        (error, reply) => resolve({ code: error?.code ?? 0, reply: [...(reply ?? [])] }),
      ),
    );
    client.close();
    return result;
  }

  it('is SERVING with a GPU and NOT_SERVING without one, for the server and for the service', async () => {
    const [well, ill] = [await start(), await start({ adapter: 'none', withoutGpu: true })];
    for (const service of ['', 'farlight.v1.Host']) {
      expect(await check(well, service)).toEqual({ code: 0, reply: [0x08, 1] });
      expect(await check(ill, service)).toEqual({ code: 0, reply: [0x08, 2] });
    }
  });

  it('is NOT_FOUND for an unknown service', async () => {
    expect((await check(await start(), 'other')).code).toBe(5);
  });
});

describe('a host with wrong options', () => {
  it('leaves no timer behind where an option is wrong', async () => {
    const intervals = new Map<number, number>();
    const hook = createHook({
      init(id, type, _, timer) {
        const { _repeat: every } = timer as { _repeat?: number | null };
        if (type === 'Timeout' && every) intervals.set(id, every);
      },
      destroy: (id) => void intervals.delete(id),
    }).enable();
    const options = { dashboard: '127.0.0.1:0', allowOrigins: ['nowhere'], busyMs: 8 * 12_345 };
    await expect(start(options)).rejects.toMatchObject({ code: 'BAD_OPTION' });
    hook.disable();
    // The interval of one of the pool's timers; this process has other timers too.
    expect([...intervals.values()]).not.toContain(12_345);
  });
});

describe('close', () => {
  it('tells each session why it ends, and leaves no process behind', async () => {
    const daemon = await start();
    const client = open(daemon);
    const pid = await pidOf(client);
    await daemon.close();
    expect(await client.closed).toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(isAlive(pid)).toBe(false);
  });

  it('closes although a peer has stopped, whose end of the connection never closes', async () => {
    const daemon = await start();
    const line = await CuttingProxy.start(daemon.url);
    const client = new HostClient(line.url);
    await client.describe();
    line.freeze();
    await daemon.close();
    client.close();
    await line.close();
  });

  it('frees the port of a closed host', async () => {
    const listen = `127.0.0.1:${await freePort()}`;
    const daemon = await start({ listen });
    await expect(start({ listen })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await daemon.close();
    await start({ listen });
  });
});
