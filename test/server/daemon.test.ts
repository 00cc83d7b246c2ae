import { createRequire } from 'node:module';
import { afterEach, describe, expect, it } from 'vitest';
import { grpcTransport } from '#farlight/client/transport/grpc.js';
import { HostClient } from '#farlight/client/transport/host-client.js';
import { hostService } from '#farlight/link/host-service.js';
import type { ClientMessage, HostMessage } from '#farlight/proto/envelope.js';
import { Daemon, type DaemonOptions } from '#farlight/server/daemon/daemon.js';
import { ACTION } from '../support/fake-executor.mjs';
import {
  executorsOf,
  FAKE_EXECUTOR,
  HELLO,
  isAlive,
  SessionClient,
  until,
} from '../support/session-client.js';

const { Client, credentials } = createRequire(import.meta.url)(
  '@grpc/grpc-js',
) as typeof import('@grpc/grpc-js');

const daemons: Daemon[] = [];
afterEach(async () => {
  await Promise.all(daemons.splice(0).map((daemon) => daemon.close()));
});

async function start(options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
  daemons.push(daemon);
  return daemon;
}

const open = (daemon: Daemon, hello = HELLO) => new SessionClient(grpcTransport(daemon.url), hello);
const pidOf = async (client: SessionClient) => Number(Buffer.from(await client.ask(ACTION.pid)).toString());

/** The session call itself, for what no client of ours would do. */
function rawCall(daemon: Daemon) {
  const client = new Client(daemon.url.replace('grpc://', ''), credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const { path, requestSerialize, responseDeserialize } = hostService().Session;
  const call = client.makeBidiStreamRequest<ClientMessage, HostMessage>(
    path,
    requestSerialize,
    responseDeserialize,
  );
  call.on('error', () => {});
  const status = new Promise<{ code: number }>((resolve) => call.on('status', resolve));
  return { call, status, close: () => client.close() };
}

describe('sessions', () => {
  it('have an executor process each', async () => {
    const daemon = await start();
    const [a, b] = [open(daemon), open(daemon)];
    expect(await pidOf(a)).not.toBe(await pidOf(b));
    expect((await a.welcome).sessionId).not.toBe((await b.welcome).sessionId);
  });

  it('get their own replies, in the order of their commands', async () => {
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

  it('end with the reason when their executor is killed, and the daemon serves the next', async () => {
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

  it('end with the reason when their executor exits or throws', async () => {
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

  it("that break the protocol end with the executor's sentence, after the replies before it", async () => {
    const client = open(await start());
    expect([...(await client.ask(ACTION.end, 5))]).toEqual([ACTION.end, 5]);
    expect(await client.closed).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: 'the client sent nonsense',
    });
    expect(client.log.at(-1)).toBe('close');
  });

  it('leave no executor behind where none is kept, whether they close or their client vanishes', async () => {
    const daemon = await start({ kept: 0 });
    const [closing, vanishing] = [open(daemon), rawCall(daemon)];
    const pid = await pidOf(closing);
    closing.link.close();
    expect(await closing.closed).toBeUndefined();
    vanishing.call.write({ hello: HELLO });
    vanishing.call.write({ commands: Uint8Array.from([ACTION.pid]) });
    const other = await new Promise<number>((resolve) =>
      vanishing.call.on(
        'data',
        (m: HostMessage) => 'replies' in m && resolve(Number(Buffer.from(m.replies).toString())),
      ),
    );
    vanishing.call.cancel();
    await until(() => !isAlive(pid) && !isAlive(other));
    expect(daemon.counters.sessionsActive).toBe(0);
    vanishing.close();
  });

  it('leave their executor to the next session of their program, and to no other', async () => {
    const daemon = await start({ kept: 1, spares: 0 });
    const sessionOf = async (program: string) => {
      const client = open(daemon, { ...HELLO, program });
      const pid = await pidOf(client);
      client.link.close();
      await client.closed;
      return pid;
    };
    const first = await sessionOf('a.mjs');
    await until(() => daemon.counters.executorsKept === 1);
    const other = await sessionOf('b.mjs');
    expect(other).not.toBe(first);
    // One is kept, so the older one has to go.
    await until(() => !isAlive(first));
    expect(await sessionOf('b.mjs')).toBe(other);
  });

  it('whose executor does not come back from a session lose it, and nobody waits for it', async () => {
    const daemon = await start({ kept: 1, spares: 0 });
    const client = open(daemon);
    const pid = await pidOf(client);
    client.link.send(Uint8Array.of(ACTION.hang));
    client.link.close();
    await client.closed;
    expect(await pidOf(open(daemon))).not.toBe(pid);
    await until(() => !isAlive(pid));
  });

  it('that reuse an executor see nothing that it still sends to the one before', async () => {
    const daemon = await start({ kept: 1, spares: 0 });
    const before = open(daemon);
    const pid = await pidOf(before);
    before.link.send(Uint8Array.of(ACTION.flood));
    before.link.close();
    await before.closed;
    await until(() => daemon.counters.executorsKept === 1);
    const after = open(daemon);
    expect(await pidOf(after)).toBe(pid);
    expect([...(await after.ask(ACTION.echo, 9))]).toEqual([ACTION.echo, 9]);
    expect(after.log).toEqual(['welcome', 'frame', 'frame']);
  });

  it('end where a client sends an empty frame, and their executor hears of none', async () => {
    const client = open(await start());
    await client.welcome;
    client.link.send(new Uint8Array(0));
    expect(await client.closed).toMatchObject({ code: 'PROTOCOL_ERROR', message: 'a frame is empty' });
  });

  it('over a unix socket work the same', async () => {
    const daemon = await start({ listen: `unix:/tmp/farlight-test-${process.pid}.sock` });
    expect([...(await open(daemon).ask(ACTION.echo, 7))]).toEqual([ACTION.echo, 7]);
  });

  it('beyond the limit are refused, and let in again when there is room', async () => {
    const daemon = await start({ maxSessions: 1 });
    const first = open(daemon);
    await first.welcome;
    expect(await open(daemon).closed).toMatchObject({ code: 'BUSY' });
    first.link.close();
    await first.closed;
    await open(daemon).welcome;
    expect(daemon.counters).toMatchObject({ sessionsOpened: 2, sessionsRefused: 1 });
  });
});

describe('flow', () => {
  it('of commands stops when the executor takes none, and nothing is lost', async () => {
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

  it('of replies stops when the client reads none, and goes on when it does', async () => {
    const daemon = await start();
    const { call, close } = rawCall(daemon);
    call.write({ hello: HELLO });
    const received: number[] = [];
    await new Promise<void>((resolve) => call.once('data', () => resolve()));
    call.pause();
    for (let i = 0; i < 3; i++) call.write({ commands: Uint8Array.from([ACTION.flood]) });
    const sent = 3 * 64;
    let last = -1;
    // Until nothing moves any more.
    await until(() => daemon.counters.framesDown > 0);
    while (last !== daemon.counters.framesDown) {
      last = daemon.counters.framesDown;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(last).toBeLessThan(sent / 2);
    call.on(
      'data',
      (message: HostMessage) => 'replies' in message && received.push(message.replies[0] ?? -1),
    );
    call.resume();
    await until(() => received.length === sent);
    expect(received).toEqual(Array.from({ length: sent }, (_, i) => i % 64));
    call.cancel();
    close();
  });

  it('carries a frame of 8 MiB both ways, and refuses a longer one', async () => {
    const daemon = await start();
    const client = open(daemon);
    const frame = new Uint8Array(8 * 1024 * 1024).fill(3);
    frame[0] = ACTION.echo;
    client.link.send(frame.slice());
    expect(Buffer.compare(await client.next(), frame)).toBe(0);
    const { call, status, close } = rawCall(daemon);
    call.write({ hello: HELLO });
    call.write({ commands: new Uint8Array(9 * 1024 * 1024) });
    expect((await status).code).toBe(8);
    close();
  });
});

describe('a client that breaks the rules', () => {
  const first = async (daemon: Daemon, ...messages: ClientMessage[]) => {
    const { call, close } = rawCall(daemon);
    for (const message of messages) call.write(message);
    const end = await new Promise<HostMessage>((resolve) =>
      call.on('data', (message: HostMessage) => 'end' in message && resolve(message)),
    );
    close();
    return end;
  };

  it('hears that Hello comes first, and once', async () => {
    const daemon = await start();
    const sentence = {
      end: { code: 'PROTOCOL_ERROR', message: expect.stringMatching(/begins with one Hello/) },
    };
    expect(await first(daemon, { commands: new Uint8Array(1) })).toMatchObject(sentence);
    expect(await first(daemon, { hello: HELLO }, { hello: HELLO })).toMatchObject(sentence);
    expect([...(await open(daemon).ask(ACTION.echo))]).toEqual([ACTION.echo]);
  });

  it("hears both versions when it speaks no protocol of the host's", async () => {
    const daemon = await start();
    const reason = await open(daemon, { ...HELLO, protocolMin: 7, protocolMax: 9, version: '9.9.9' }).closed;
    expect(reason?.code).toBe('VERSION_MISMATCH');
    expect(reason?.message).toMatch(/protocol 7 to 9 \(farlight 9\.9\.9\).*protocol 1 \(farlight \d/);
  });
});

describe('warm executors', () => {
  it('are replaced after one is used', async () => {
    const daemon = await start({ spares: 1 });
    const pids = new Set<number>();
    for (let i = 0; i < 3; i++) pids.add(await pidOf(open(daemon)));
    expect(pids.size).toBe(3);
  });

  it('are replaced when one dies before it is used', async () => {
    const daemon = await start();
    const before = await executorsOf(process.pid);
    expect(before).toHaveLength(1);
    process.kill(before[0] ?? 0, 'SIGKILL');
    let after = before;
    while (after.length === 0 || after[0] === before[0]) after = await executorsOf(process.pid);
    expect([...(await open(daemon).ask(ACTION.echo, 4))]).toEqual([ACTION.echo, 4]);
  });

  it('need not be kept: a session then waits for its own', async () => {
    const daemon = await start({ spares: 0 });
    await Promise.all([open(daemon).welcome, open(daemon).welcome]);
  });
});

describe('a host without a GPU', () => {
  it('does not start, and says why', async () => {
    await expect(start({ adapter: 'none' })).rejects.toMatchObject({
      code: 'NO_ADAPTER',
      message: 'there is no GPU here; install one',
    });
    await expect(start({ adapter: 'crash' })).rejects.toMatchObject({
      code: 'EXECUTOR_LOST',
      message: expect.stringMatching(/SIGSEGV/),
    });
  });

  it('that is to serve all the same says why to whoever asks', async () => {
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

  it('is SERVING with a GPU and NOT_SERVING without, for the server and for the service', async () => {
    const [well, ill] = [await start(), await start({ adapter: 'none', withoutGpu: true })];
    for (const service of ['', 'farlight.v1.Host']) {
      expect(await check(well, service)).toEqual({ code: 0, reply: [0x08, 1] });
      expect(await check(ill, service)).toEqual({ code: 0, reply: [0x08, 2] });
    }
  });

  it('of an unknown service is NOT_FOUND', async () => {
    expect((await check(await start(), 'other')).code).toBe(5);
  });
});

describe('close', () => {
  it('tells each session, and leaves no process behind', async () => {
    const daemon = await start();
    const client = open(daemon);
    const pid = await pidOf(client);
    await daemon.close();
    expect(await client.closed).toMatchObject({ code: 'SHUTTING_DOWN' });
    expect(isAlive(pid)).toBe(false);
  });

  it('frees the port', async () => {
    const daemon = await start();
    const listen = daemon.url.replace('grpc://', '');
    await expect(start({ listen })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
    await daemon.close();
    await start({ listen });
  });
});
