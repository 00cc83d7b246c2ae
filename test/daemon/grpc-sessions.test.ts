import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Client, type Metadata, Server, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { remoteHost } from '#farlight/client/transport/open.js';
import { GrpcConnection } from '#farlight/link/dial/grpc-connection.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { hostService, sessionsService } from '#farlight/link/grpc/host-service.js';
import type { SessionMessage } from '#farlight/link/grpc/session-messages.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { PACKET } from '#farlight/proto/wire/packet.js';
import { Daemon } from '#farlight/server/daemon.js';
import type { DaemonOptions } from '#farlight/server/daemon-options.js';
import { TokenStore } from '#farlight/server/trust/token-store.js';
import { RawClient } from '../support/clients/raw-client.js';
import { HELLO, SessionClient } from '../support/clients/session-client.js';
import { ACTION } from '../support/hosts/fake-executor.mjs';
import { memoryLog } from '../support/hosts/memory-log.js';
import { until } from '../support/machine/processes.js';
import { FAKE_EXECUTOR } from '../support/repository.js';
import { folders } from '../support/trust/trust.js';

const temporary = folders();
afterAll(() => temporary.remove());
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: DaemonOptions = {}) {
  const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR, ...options });
  cleanups.push(() => daemon.close());
  const target = daemon.url.replace('grpc://', '');
  return { daemon, target };
}

/**
 * One HTTP/2 connection of a client that gives every stream `window` bytes. It is the package's own: another of Node's
 * could wait for the host for ever while both write.
 */
function connection(target: string, window = LIMITS.windowBytes): Client {
  const address = parseHostAddress(`grpc://${target}`);
  const connection = new GrpcConnection(address, { channel: { 'grpc-node.flow_control_window': window } });
  cleanups.push(() => connection.close());
  return connection.client;
}

/** A session over a connection, after its Welcome; with a token where the host asks for one. */
async function session(client: Client, token?: string) {
  const { path, requestSerialize, responseDeserialize } = sessionsService().Open;
  const metadata = new (grpc().Metadata)();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
  const frames: Uint8Array[] = [];
  let taken = 0;
  let welcomed = false;
  let refused: Error | undefined;
  // Also when the test ends the call.
  call.on('error', (error) => {
    refused = error;
  });
  call.on('data', (message: SessionMessage) => {
    if (message.message === 'welcome') welcomed = true;
    if (message.message !== 'frame') return;
    frames.push(message.frame as Uint8Array);
    taken += 1;
    call.write({ ack: taken });
  });
  call.write({ hello: HELLO });
  await until(() => welcomed || refused !== undefined);
  if (!welcomed) throw refused;
  return {
    call,
    frames,
    send: (action: number, bytes = 1) => {
      const frame = new Uint8Array(bytes);
      frame[0] = action;
      call.write({ frame });
    },
  };
}

describe('a host over gRPC', () => {
  it('lets a known client have a whole window of bytes on its way in each stream', async () => {
    const { target } = await start();
    const http2 = connectHttp2(`http://${target}`);
    cleanups.push(() => http2.destroy());
    await once(http2, 'remoteSettings');
    expect(http2.remoteSettings.initialWindowSize).toBe(65_535);
    expect(http2.state.remoteWindowSize).toBe(65_535);
    const describes = { ':method': 'POST', ':path': '/farlight.v1.Host/Describe', te: 'trailers' };
    http2
      .request({ ...describes, 'content-type': 'application/grpc' })
      .resume()
      .end(Buffer.alloc(5));
    await until(() => (http2.state.remoteWindowSize ?? 0) > 2 ** 31 - 100);
    await until(() => http2.remoteSettings.initialWindowSize === LIMITS.windowBytes);
  });

  it('serves nineteen sessions of four tenants on a connection whose twentieth session never reads', async () => {
    // As a proxy does: it has one connection for all of its clients.
    const trustFolder = temporary.make();
    const notes = memoryLog();
    const { daemon } = await start({
      behindProxy: 'gpu.example',
      trustFolder,
      log: notes.log,
      spares: 0,
      maxSessions: 20,
    });
    const tokens = new TokenStore(join(trustFolder, 'tokens'));
    const shown = ['a', 'b', 'c', 'd'].map((tenant) => tokens.add({ tenant }).token);
    const client = connection(String(notes.of('host started')[0]?.listens).replace('grpc://', ''));
    const stuck = await session(client, shown[0]);
    stuck.call.pause();
    stuck.send(ACTION.flood);
    const others = await Promise.all(
      Array.from({ length: 19 }, (_, at) => session(client, shown[at % shown.length])),
    );
    expect(new Set(notes.of('session opened').map(({ tenant }) => tenant)).size).toBe(4);
    for (const other of others) for (let i = 0; i < 2; i += 1) other.send(ACTION.echo, 1 << 20);
    await until(() => others.every(({ frames }) => frames.length === 2));
    expect(daemon.counters.sessionsActive).toBe(20);
    for (const { call } of [stuck, ...others]) call.cancel();
  }, 60_000);

  it('ends a call at once when its session ends, even if the client does not read', async () => {
    const { daemon, target } = await start({ resumeMs: 0 });
    const client = connection(target, 65_535);
    const stuck = await session(client);
    stuck.call.pause();
    const ended = new Promise<{ code: number }>((resolve) => stuck.call.on('status', resolve));
    stuck.send(ACTION.flood);
    await until(() => daemon.counters.bytesDown > 0 || daemon.counters.framesDown > 0);
    stuck.send(ACTION.kill);
    stuck.call.resume();
    await ended;
    await until(() => daemon.counters.sessionsActive === 0);
  }, 60_000);

  it('tells both versions to an older client that speaks packets without gRPC', async () => {
    const { target } = await start();
    const socket = connect(Number(target.split(':')[1]), '127.0.0.1');
    const client = new RawClient(socket).hello({ protocolMin: 2, protocolMax: 2, version: '0.0.9' });
    expect(await client.object(PACKET.end)).toMatchObject({
      code: 'VERSION_MISMATCH',
      message: expect.stringMatching(
        /protocol 2 \(farlight 0\.0\.9\).*protocol 3 .*install the same version/,
      ),
    });
  });

  it('is reported with both versions where it is older and has no sessions over gRPC', async () => {
    const server = new Server();
    const description = { protocolMin: 2, protocolMax: 2, version: '0.0.9', adapterProblem: '', sessions: 0 };
    server.addService(hostService(), {
      Describe: (_: unknown, reply: (error: null, value: object) => void) => reply(null, description),
      Echo: (_: unknown, reply: (error: null, value: object) => void) => reply(null, {}),
    });
    cleanups.push(() => server.forceShutdown());
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (problem, bound) =>
        problem ? reject(problem) : resolve(bound),
      ),
    );
    expect(await new SessionClient(remoteHost(`grpc://127.0.0.1:${port}`)).closed).toMatchObject({
      code: 'VERSION_MISMATCH',
      message: expect.stringMatching(
        /protocol 3 .*protocol 2 \(farlight 0\.0\.9\).*install the same version/,
      ),
    });
  });

  it('sends its version before its GPU is open', async () => {
    const { target } = await start();
    const { path, requestSerialize, responseDeserialize } = sessionsService().Open;
    const call = connection(target).makeBidiStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      new (grpc().Metadata)(),
    );
    call.on('error', () => {});
    const metadata = await new Promise<Metadata>((resolve) => call.on('metadata', resolve));
    expect(metadata.get('farlight-version')).toHaveLength(1);
    call.cancel();
  });
});
