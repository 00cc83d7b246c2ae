import { createRequire } from 'node:module';

const { Client, credentials } = createRequire(import.meta.url)(
  '@grpc/grpc-js',
) as typeof import('@grpc/grpc-js');

/** grpc.health.v1.Health/Check of a host: 1 is SERVING, 2 NOT_SERVING. */
export function checkHealth(url: string, service = ''): Promise<number | undefined> {
  const client = new Client(url.replace('grpc://', ''), credentials.createInsecure());
  const request = Buffer.concat([Buffer.from([0x0a, service.length]), Buffer.from(service)]);
  const bytes = (value: Buffer) => value;
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', bytes, bytes, request, (error, reply) => {
      client.close();
      if (error) reject(error);
      else resolve(reply?.[1]);
    });
  });
}
