import { connect } from 'node:net';
import type { ChannelCredentials, ChannelOptions, Client, ServiceError } from '@grpc/grpc-js';
import { vi } from 'vitest';
import { Quotas } from '#farlight/infer/door/quotas.js';
import { inferenceTrust, type Trust, type TrustOptions } from '#farlight/infer/door/trust.js';
import { GrpcServer, type GrpcServerOptions } from '#farlight/infer/grpc/grpc-server.js';
import { inferenceDefinitions, SERVICE } from '#farlight/infer/grpc/inference-definitions.js';
import { HttpServer, type HttpServerOptions } from '#farlight/infer/http/http-server.js';
import { inferenceRoutes, notServed } from '#farlight/infer/http/inference-routes.js';
import { serverMetadata } from '#farlight/infer/protocol/answers.js';
import type { RequestObserver } from '#farlight/infer/service/request-observer.js';
import { grpc } from '#farlight/link/grpc/grpc.js';
import { FakeService } from './fake-service.js';

/** Hears of requests, and keeps nothing. */
const observer: RequestObserver = {
  begin: () => ({ asked() {}, onSpan() {}, done() {}, failed() {}, end() {} }),
};
const metadata = serverMetadata('farlight', '1.2.3');
const address = { host: '127.0.0.1', port: 0 };

/** The clients that a server on loopback admits. */
export function trusted(options: Partial<TrustOptions> = {}): Trust {
  return inferenceTrust({ http: '127.0.0.1:0', grpc: undefined, ...options }, () => {});
}

/** Servers of one test file on loopback, and what ends them. */
export function serving() {
  const servers: (HttpServer | GrpcServer)[] = [];
  const clients: Client[] = [];
  return {
    async http(
      { quotas = new Quotas(), ...options }: Partial<HttpServerOptions> & { quotas?: Quotas } = {},
      trust: Partial<TrustOptions> = {},
    ) {
      const service = new FakeService();
      const errors: unknown[] = [];
      const metrics = async () => ({ type: 'text/plain', text: 'farlight_infer_ready 1\n' });
      const server = new HttpServer({
        routes: inferenceRoutes({ service, metadata, observer, quotas, metrics }),
        notServed,
        guide: '/v2/openapi.json',
        address,
        trust: trusted(trust),
        limit: 1 << 20,
        budget: 8 << 20,
        onError: (error) => errors.push(error),
        onAnswer: () => {},
        ...options,
      });
      servers.push(server);
      const port = await server.listen();
      return { server, service, port, url: `http://127.0.0.1:${port}`, errors };
    },

    async grpc(options: Partial<GrpcServerOptions> = {}, trust: Partial<TrustOptions> = {}) {
      const service = new FakeService();
      const errors: unknown[] = [];
      const server = new GrpcServer({
        service,
        metadata,
        observer,
        quotas: new Quotas(),
        address,
        trust: trusted(trust),
        limit: 1 << 20,
        onError: (error) => errors.push(error),
        onAnswer: () => {},
        ...options,
      });
      servers.push(server);
      const port = await server.listen();
      const client = inferenceClient(`127.0.0.1:${port}`);
      clients.push(client);
      return { server, service, port, client, errors };
    },

    async close(): Promise<void> {
      for (const each of clients.splice(0)) each.close();
      await Promise.all(servers.splice(0).map((each) => each.close(1000)));
    },
  };
}

/** Waits until a check holds: how long that takes is for the machine to say. */
export function soon(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 20_000 });
}

/** A client of the service, of gRPC for JavaScript. */
export function inferenceClient(
  target: string,
  options: ChannelOptions = {},
  credentials: ChannelCredentials = grpc().credentials.createInsecure(),
): Client {
  const Service = grpc().makeGenericClientConstructor(inferenceDefinitions()[SERVICE] as never, SERVICE);
  return new Service(target, credentials, options);
}

/** Calls a method of one request and one answer. */
export function ask(
  client: Client,
  method: string,
  request: object,
  { token, deadline }: { token?: string; deadline?: number } = {},
): Promise<never> {
  const metadata = new (grpc().Metadata)();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return new Promise((resolve, reject) => {
    const call = client as unknown as Record<string, (...args: unknown[]) => void>;
    call[method]?.(
      request,
      metadata,
      deadline === undefined ? {} : { deadline },
      (error: ServiceError | null, answer: never) => (error ? reject(error) : resolve(answer)),
    );
  });
}

/** Everything that a server sends until it ends the connection. */
export function raw(port: number, ...pieces: (string | Uint8Array)[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    const socket = connect(port, '127.0.0.1');
    for (const piece of pieces) socket.write(piece);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.once('close', () => resolve(Buffer.concat(chunks)));
    socket.once('error', reject);
  });
}
