import type { Metadata as CallMetadata, ServiceError } from '@grpc/grpc-js';
import { afterEach, expect, it } from 'vitest';
import { GrpcConnection } from '#farlight/link/dial/grpc-connection.js';
import { parseHostAddress } from '#farlight/link/dial/host-address.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { hostService } from '#farlight/link/grpc/host-service.js';
import { makePair } from '../support/trust/trust.js';

const { Server, ServerCredentials, status } = grpc();

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** A gRPC server with TLS. It notes the tokens that it was shown, and its pin. */
async function grpcHost() {
  const pair = makePair();
  const shown: unknown[] = [];
  const server = new Server();
  const { Echo } = hostService();
  server.addService({ Echo } as never, {
    Echo(call: { metadata: CallMetadata }, reply: (error: null, answer: object) => void) {
      shown.push(...call.metadata.get('authorization'));
      reply(null, { payload: Buffer.from('answer') });
    },
  });
  const keys = [{ private_key: Buffer.from(pair.key), cert_chain: Buffer.from(pair.cert) }];
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, keys), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  closing.push(() => server.forceShutdown());
  return { port, pin: pair.pin, shown };
}

/** Calls Echo with the address's token. */
function echo(url: string): Promise<{ payload: Buffer }> {
  const address = parseHostAddress(url, { tls: true });
  const connection = new GrpcConnection(address);
  const { client, metadata } = connection;
  closing.push(() => connection.close());
  const { path, requestSerialize, responseDeserialize } = hostService().Echo;
  const deadline = Date.now() + 5000;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { payload: new Uint8Array(1), replyBytes: 0 },
      metadata,
      { deadline },
      (error: ServiceError | null, answer) =>
        error ? reject(error) : resolve(answer as unknown as { payload: Buffer }),
    );
  });
}

it('gRPC calls with their token reach a host whose key is pinned', async () => {
  const { port, pin, shown } = await grpcHost();
  const token = `flt_${'a'.repeat(43)}`;
  const { payload } = await echo(`grpcs://${token}@127.0.0.1:${port}?ca=${pin}`);
  expect(String(payload)).toBe('answer');
  expect(shown).toEqual([`Bearer ${token}`]);
});

it('gRPC calls show no token to a host with another key, and fail with the reason', async () => {
  const { port, shown } = await grpcHost();
  const url = `grpcs://flt_${'a'.repeat(43)}@127.0.0.1:${port}?ca=${makePair().pin}`;
  await expect(echo(url)).rejects.toMatchObject({
    code: status.UNAVAILABLE,
    details: expect.stringMatching(/has another key than the ca/),
  });
  expect(shown).toEqual([]);
});
