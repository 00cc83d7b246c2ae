import { Metadata, Server, ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { openGrpcCarrier } from '#farlight/client/transport/host/grpc-dialer.js';
import type { Carrier } from '#farlight/link/channel/carrier.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { VERSION_KEY } from '#farlight/link/grpc/grpc-carrier.js';
import { sessionsService } from '#farlight/link/grpc/host-service.js';
import type { SessionMessage } from '#farlight/link/grpc/session-messages.js';
import { LIMITS } from '#farlight/proto/wire/limits.js';
import { countBody, NOTHING, PACKET } from '#farlight/proto/wire/packet.js';

type Call = ServerDuplexStream<SessionMessage, SessionMessage>;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

/** A carrier to a server whose calls `serve` handles, with the carrier's events. */
async function connected(serve: (call: Call) => void) {
  const server = new Server({ 'grpc.max_receive_message_length': 2 * LIMITS.frameBytes });
  server.addService(sessionsService(), {
    Open(call: Call) {
      const metadata = new Metadata();
      metadata.set(VERSION_KEY, '0.0.0-test');
      call.sendMetadata(metadata);
      call.on('error', () => {});
      serve(call);
    },
  });
  cleanups.push(() => server.forceShutdown());
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const address = parseHostAddress(`grpc://127.0.0.1:${port}`);
  const carrier: Carrier = openGrpcCarrier(address, {
    timeoutMs: 5000,
    certificate: undefined,
    session: 'test',
  });
  cleanups.push(() => carrier.abort());
  const log: string[] = [];
  const bodies: Uint8Array[] = [];
  carrier.start({
    onReached: () => log.push('reached'),
    onPacket: (kind, body) => {
      log.push(`packet ${kind}`);
      bodies.push(body);
    },
    onDrain: () => log.push('drain'),
    onBroken: ({ message }) => log.push(`broken: ${message}`),
    onGone: (why) => log.push(`gone: ${why?.message}`),
  });
  return { carrier, log, bodies };
}

it('does not read a frame after send has returned', async () => {
  const came: Buffer[] = [];
  const { carrier } = await connected((call) => {
    call.on('data', ({ frame }: { frame: Buffer }) => came.push(frame));
  });
  const memory = new Uint8Array(LIMITS.frameBytes);
  for (let number = 1; number <= 40; number += 1) {
    carrier.send(PACKET.data, memory.fill(number));
    // The next frame uses the same memory.
    memory.fill(0xee);
  }
  await expect.poll(() => came.length, { timeout: 20_000 }).toBe(40);
  const wrong = came.filter((frame, at) => !frame.equals(new Uint8Array(LIMITS.frameBytes).fill(at + 1)));
  expect(wrong).toHaveLength(0);
});

it('delivers packets in order, after the first sign of the host', async () => {
  const { log, bodies } = await connected((call) => {
    call.write({ resumed: 3 });
    call.write({ frame: Buffer.from([7]) });
    call.write({ ping: {} });
  });
  await expect
    .poll(() => log)
    .toEqual(['reached', ...[PACKET.resumed, PACKET.data, PACKET.ping].map((kind) => `packet ${kind}`)]);
  expect(bodies.map((body) => [...body])).toEqual([[...countBody(3)], [7], []]);
});

it('ends after the packets that were sent, and reports once that it is gone', async () => {
  const came: SessionMessage[] = [];
  const { carrier, log } = await connected((call) => {
    call.on('data', (message: SessionMessage) => came.push(message));
    call.on('end', () => call.end());
  });
  carrier.send(PACKET.bye, NOTHING);
  let left = 0;
  carrier.end(() => {
    left += 1;
  });
  await expect.poll(() => log.at(-1)).toBe('gone: undefined');
  expect([came.map(({ message }) => message), left, log.filter((each) => each.startsWith('gone'))]).toEqual([
    ['bye'],
    1,
    ['gone: undefined'],
  ]);
  expect(carrier.send(PACKET.ping, NOTHING)).toBe(true);
});

it('reports a message that this version does not know, and ignores the messages after it', async () => {
  const { log } = await connected((call) => {
    call.write({});
    call.write({ ping: {} });
  });
  await expect.poll(() => log.at(-1)).toMatch(/^broken: a message is empty/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(log.filter((each) => each.startsWith('packet'))).toEqual([]);
});
