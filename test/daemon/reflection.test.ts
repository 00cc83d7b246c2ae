import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { Daemon } from '#farlight/server/daemon.js';
import { FAKE_EXECUTOR } from '../support/repository.js';

const require = createRequire(import.meta.url);
const { Client, credentials, Metadata } = require('@grpc/grpc-js') as typeof import('@grpc/grpc-js');
const { loadSync } = require('@grpc/proto-loader') as typeof import('@grpc/proto-loader');

/** The reply to list_services. */
interface Reply {
  list_services_response: { service: { name: string }[] };
}

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** Asks a host for its services, as grpcurl does. */
function services(url: string): Promise<string[]> {
  const folder = dirname(require.resolve('@grpc/reflection/package.json'));
  const proto = loadSync(join(folder, 'build/proto/grpc/reflection/v1/reflection.proto'), { keepCase: true });
  const service = proto['grpc.reflection.v1.ServerReflection'] as unknown as Record<
    string,
    import('@grpc/grpc-js').MethodDefinition<object, Reply>
  >;
  const { ServerReflectionInfo: method } = service;
  if (!method) throw new Error('the reflection service has another method');
  const client = new Client(url.replace('grpc://', ''), credentials.createInsecure());
  cleanups.push(() => client.close());
  const call = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    new Metadata(),
  );
  return new Promise((resolve, reject) => {
    call.on('data', ({ list_services_response: { service: found } }: Reply) =>
      resolve(found.map(({ name }) => name)),
    );
    call.on('error', reject);
    call.write({ list_services: '' });
    call.end();
  });
}

describe('the gRPC port of a host', () => {
  it('tells its services to a tool without a copy of farlight.proto', async () => {
    const daemon = await Daemon.start({ listen: '127.0.0.1:0', executorEntry: FAKE_EXECUTOR });
    cleanups.push(() => daemon.close());
    expect(await services(daemon.url)).toContain('farlight.v1.Host');
  });
});
