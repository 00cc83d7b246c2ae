import { connect } from 'node:net';
import { inferenceTrust, type TrustOptions } from '#farlight/infer/door/trust.js';
import { HttpServer, type HttpServerOptions } from '#farlight/infer/http/http-server.js';
import { serverMetadata } from '#farlight/infer/protocol/answers.js';
import { FakeService } from './fake-service.js';

/** Servers of one test file on loopback, and what ends them. */
export function serving() {
  const servers: HttpServer[] = [];
  return {
    async http(options: Partial<HttpServerOptions> = {}, trust: Partial<TrustOptions> = {}) {
      const service = new FakeService();
      const errors: unknown[] = [];
      const server = new HttpServer({
        service,
        metadata: serverMetadata('farlight', '1.2.3'),
        metrics: async () => ({ type: 'text/plain', text: 'farlight_infer_ready 1\n' }),
        address: { host: '127.0.0.1', port: 0 },
        trust: inferenceTrust({ http: '127.0.0.1:0', grpc: undefined, ...trust }, () => {}),
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
    async close(): Promise<void> {
      await Promise.all(servers.splice(0).map((each) => each.close(1000)));
    },
  };
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
