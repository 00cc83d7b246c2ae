import type { Socket } from 'node:net';
import type { Server, ServerInterceptor } from '@grpc/grpc-js';
import { clearTimeout, setTimeout } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import { grpc } from './grpc.js';

/** The open connections of each server. */
const connections = new WeakMap<Server, Set<Socket>>();

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
  const open = connections.get(server) ?? new Set();
  connections.set(server, open.add(socket));
  socket.once('close', () => {
    open.delete(socket);
    injector.destroy();
  });
  injector.injectConnection(socket);
}

/** Finishes the open calls of a server, and closes its connections. After `graceMs` it cuts off the peers that are left. */
export async function shutDown(server: Server, graceMs: number): Promise<void> {
  const cutOff = setTimeout(() => {
    server.forceShutdown();
    // HTTP/2 has sent its last frame, and waits for the peer to close. A stopped peer never does.
    for (const socket of connections.get(server) ?? []) socket.destroy();
  }, graceMs);
  await new native.Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  clearTimeout(cutOff);
  server.forceShutdown();
}
