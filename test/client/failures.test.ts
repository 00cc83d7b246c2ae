import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Duplex } from 'node:stream';
import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ReadParts } from '#farlight/client/api/buffers/mapping.js';
import { create } from '#farlight/client/index.js';
import { type Dialer, HostLink } from '#farlight/client/transport/host-link.js';
import { networkHost } from '#farlight/client/transport/network-host.js';
import { remoteHost } from '#farlight/client/transport/open.js';
import type { Transport } from '#farlight/client/transport/transport.js';
import type { Carrier } from '#farlight/link/channel/carrier.js';
import { VERSION_KEY } from '#farlight/link/grpc/grpc-carrier.js';
import { sessionsService } from '#farlight/link/grpc/host-service.js';
import type { SessionMessage } from '#farlight/link/grpc/session-messages.js';
import { SocketCarrier } from '#farlight/link/near/socket-carrier.js';
import type { FarlightError } from '#farlight/proto/errors.js';
import { uncleared } from '#farlight/proto/wire/memory.js';
import { ScriptedTransport } from '../support/clients/scripted-transport.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { FakeGpu } from '../support/gpus/fake-gpu.js';
import { REPOSITORY } from '../support/repository.js';

const MIB = 1 << 20;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  vi.restoreAllMocks();
  for (const clean of cleanups.splice(0).reverse()) await clean();
});

/** Runs a program of test/support/programs, and kills it if it takes too long: it may block for ever. */
async function program(name: string, args: readonly string[], shell = ''): Promise<string> {
  const script = `${REPOSITORY}test/support/programs/${name}`;
  const words = [process.execPath, script, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('/bin/sh', ['-c', `${shell} exec ${words}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  let output = '';
  child.stdout.on('data', (text) => {
    output += text;
  });
  await once(child, 'close');
  clearTimeout(timer);
  return output;
}

describe('a session', () => {
  let fake: FakeGpu;
  let transport: ScriptedTransport;
  /** The effect of sending a frame. */
  let broken: Error | undefined;
  beforeEach(() => {
    fake = new FakeGpu();
    transport = new ScriptedTransport(fake.gpu);
    broken = undefined;
  });

  const breakable: Transport = {
    target: 'breakable',
    open(hello, events) {
      const link = transport.open(hello, events);
      const send = (frame: Uint8Array) => {
        if (broken) throw broken;
        return link.send(frame);
      };
      return { ...link, send };
    },
  };

  async function open(): Promise<GPUDevice> {
    const opening = create({ transport: breakable })
      .requestAdapter()
      .then((adapter) => adapter?.requestDevice());
    await transport.settle();
    const device = (await opening) as GPUDevice;
    await transport.settle();
    fake.calls.length = 0;
    return device;
  }

  it('rejects a mapping without memory, and the buffer can be mapped again', async () => {
    const size = 3 * MIB;
    fake.answers.getMappedRange = (_offset: number, length: number) => new ArrayBuffer(length);
    const device = await open();
    const buffer = device.createBuffer({ size, usage: 9 });
    const allocate = Buffer.allocUnsafeSlow;
    const short = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((bytes) => {
      if (bytes === size) throw new RangeError('there is no memory');
      return allocate(bytes);
    });
    const failed = expect(buffer.mapAsync(1)).rejects.toThrow(new RangeError('there is no memory'));
    expect(buffer.mapState).toBe('pending');
    await transport.settle();
    await failed;
    expect(buffer.mapState).toBe('unmapped');
    short.mockRestore();
    const mapped = buffer.mapAsync(1);
    await transport.settle();
    await mapped;
    expect([buffer.mapState, buffer.getMappedRange().byteLength]).toEqual(['mapped', size]);
    // The host unmaps its buffer in between.
    expect(fake.names().filter((name) => /[mM]ap(Async)?$/.test(name))).toEqual([
      'GPUBuffer.mapAsync',
      'GPUBuffer.unmap',
      'GPUBuffer.mapAsync',
    ]);
  });

  it('rejects pending promises and loses the devices if a flush cannot be sent', async () => {
    const device = await open();
    const scope = device.popErrorScope();
    const mapped = device.createBuffer({ size: 16, usage: 9 }).mapAsync(1);
    broken = new Error('the link broke');
    await expect(mapped).rejects.toMatchObject({ name: 'AbortError', message: 'the link broke' });
    expect(await scope).toBeNull();
    expect(await device.lost).toMatchObject({ message: 'the link broke' });
  });

  it('rejects pending promises if there is no memory for a frame from the host', async () => {
    fake.answers.getMappedRange = (_offset: number, length: number) => new ArrayBuffer(length);
    const device = await open();
    const mapped = device.createBuffer({ size: 3 * MIB, usage: 9 }).mapAsync(1);
    vi.spyOn(ReadParts.prototype, 'add').mockImplementation(() => {
      throw new RangeError('there is no memory');
    });
    const failed = expect(mapped).rejects.toMatchObject({
      name: 'AbortError',
      message: 'there is no memory',
    });
    await transport.settle();
    await failed;
    expect(await device.lost).toMatchObject({ message: 'there is no memory' });
  });

  it('rejects a request whose link cannot be opened, with the reason and advice', async () => {
    const opened = (error: Error) => {
      const throwing: Transport = {
        target: 'nowhere',
        open: () => {
          throw error;
        },
      };
      return create({ transport: throwing }).requestAdapter();
    };
    await expect(opened(new Error('no thread'))).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: 'no thread',
    });
    const many = Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
    await expect(opened(many)).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: expect.stringMatching(/too many files are open here \(EMFILE\).*ulimit -n/),
    });
  });
});

describe('no more open files', () => {
  it.each([[['none']], [['none', 'looked']], [['grpc://127.0.0.1:9', 'looked']]])(
    'requestAdapter tells a program that it may open no more files: %j',
    async (args) => {
      const output = await program('descriptors-program.mjs', args, 'ulimit -n 256;');
      expect(output).toMatch(/^rejected (UNREACHABLE|DISCONNECTED): .*EMFILE/);
    },
  );
});

describe('the connection thread', () => {
  it('a connection thread that dies wakes a waiting program, and the session ends with a reason', async () => {
    const output = await program('blocked-program.mjs', []);
    expect(output).toMatch(/^waits\nhas room\nclosed DISCONNECTED: .*connection thread ended: \w/);
  });
});

/** A host that acknowledges a frame before it welcomes any client, and ends the connection. */
async function eagerHost(): Promise<string> {
  const server = new Server();
  server.addService(sessionsService(), {
    Open(call: ServerDuplexStream<SessionMessage, SessionMessage>) {
      const metadata = new Metadata();
      metadata.set(VERSION_KEY, '0.0.0-test');
      call.sendMetadata(metadata);
      call.write({ ack: 1 });
      call.once('data', () => setTimeout(() => call.end(), 20));
    },
  });
  cleanups.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(`grpc://127.0.0.1:${port}`),
    );
  });
}

describe('a link', () => {
  it.each([
    ['in this thread', networkHost],
    ['in a thread of its own', remoteHost],
  ])('%s closes if its host acknowledges frames before a welcome', async (_, way) => {
    const client = new SessionClient(way(await eagerHost()));
    client.link.send(uncleared(1000));
    expect(await client.closed).toMatchObject({
      code: 'PROTOCOL_ERROR',
      message: expect.stringMatching(/frames were taken before Welcome/),
    });
  });

  it('a link whose connection fails closes with the reason, also if the reason cannot be found', async () => {
    const closed = (dialer: Partial<Dialer>) =>
      new Promise<FarlightError | undefined>((onClose) => {
        const events = { onWelcome: () => {}, onFrame: () => {}, onDrain: () => {}, onClose };
        const connect = async (): Promise<Carrier> => new SocketCarrier(new Pipe(), { greets: true });
        const hungUp = async () => Promise.reject(new Error('the probe failed'));
        new HostLink({ url: 'grpc://host', connect, hungUp, ...dialer }, {}, HELLO, events);
      });
    const useless = closed({ connect: async () => ({}) as Carrier });
    expect(await useless).toMatchObject({ code: 'DISCONNECTED', message: expect.stringMatching(/grpc:/) });
    expect(await closed({})).toMatchObject({ code: 'UNREACHABLE' });
  });

  it('a link waits for a connection to a host that it has found as always, however long it waits for the first', async () => {
    const waits: number[] = [];
    /** Brings the host's sign, and is lost. */
    const brief: Carrier = {
      start: (events) => {
        events.onReached?.();
        setImmediate(() => events.onGone(undefined));
      },
      send: () => true,
      end: () => {},
      abort: () => {},
    };
    await new Promise<void>((done) => {
      const connect: Dialer['connect'] = async ({ timeoutMs }) => {
        waits.push(timeoutMs);
        if (waits.length === 2) done();
        return brief;
      };
      const hungUp = async () => Promise.reject(new Error('nobody asks'));
      const events = { onWelcome: () => {}, onFrame: () => {}, onDrain: () => {}, onClose: () => {} };
      const link = new HostLink(
        { url: 'grpc://host', connect, hungUp },
        { connectMs: 30_000 },
        HELLO,
        events,
      );
      cleanups.push(() => link.close());
    });
    expect(waits).toEqual([30_000, 5000]);
  });
});

/** A connection that closes when something is written to it. */
class Pipe extends Duplex {
  override _read(): void {}

  override _write(): void {
    this.destroy();
  }
}
