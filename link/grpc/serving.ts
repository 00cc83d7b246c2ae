import type { Socket } from 'node:net';
import type { Server, ServerInterceptor } from '@grpc/grpc-js';
import { clearTimeout, setTimeout } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import { grpc } from './grpc.js';

/**
 * Serves a connection whose TLS, if it has any, has ended already.
 *
 * @param interceptor of this connection alone, since a call does not say which connection it came on.
 */
export function serveConnection(server: Server, socket: Socket, interceptor: ServerInterceptor): void {
  const { experimental, ServerCredentials } = grpc();
  const credentials = experimental.createServerCredentialsWithInterceptors(
    ServerCredentials.createInsecure(),
    [interceptor],
  );
  const injector = server.createConnectionInjector(credentials);
  socket.once('close', () => injector.destroy());
  injector.injectConnection(socket);
}

/** Finishes the open calls of a server, for at most `graceMs`, and closes its connections. */
export async function shutDown(server: Server, graceMs: number): Promise<void> {
  const cutOff = setTimeout(() => server.forceShutdown(), graceMs);
  await new native.Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(cutOff);
  server.forceShutdown();
}
