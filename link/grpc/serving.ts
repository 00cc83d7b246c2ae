import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server, ServerInterceptingCallInterface, ServerInterceptor } from '@grpc/grpc-js';
import { setTimeout } from '../machine/clock.js';
import { native } from '../machine/globals.js';
import { PROCESS_CLOCK, settledWithin } from '../machine/timer.js';
import { grpc } from './grpc.js';
import { streamOf } from './windows.js';

/** How long the last write of a connection may take that HTTP/2 has given up, in milliseconds. */
const LAST_WRITE_MS = 1000;

/** The open connections of each server. */
const connections = new WeakMap<Server, Set<Socket>>();

/**
 * Serves a connection whose TLS, if it has any, has ended already.
 *
 * @param interceptor of this connection alone, since a call does not say which connection it came on.
 * @param stream with the socket's bytes, which closes it. The socket itself where left out.
 */
export function serveConnection(
  server: Server,
  socket: Socket,
  interceptor: ServerInterceptor,
  stream: Duplex = socket,
): void {
  const { experimental, ServerCredentials } = grpc();
  const credentials = experimental.createServerCredentialsWithInterceptors(
    ServerCredentials.createInsecure(),
    [
      (method, call) => {
        closeWithHttp2(socket, call);
        return interceptor(method, call);
      },
    ],
  );
  const injector = server.createConnectionInjector(credentials);
  const open = connections.get(server) ?? new Set();
  connections.set(server, open.add(socket));
  socket.once('close', () => {
    open.delete(socket);
    injector.destroy();
  });
  injector.injectConnection(stream);
}

/**
 * Closes a connection that HTTP/2 has given up, since its peer answers no ping. HTTP/2 waits for its last write, which
 * never ends where the peer reads nothing.
 */
function closeWithHttp2(socket: Socket, call: ServerInterceptingCallInterface): void {
  const stream = streamOf(call);
  const { session } = stream;
  stream.once('close', () => {
    if (session?.destroyed) setTimeout(() => socket.destroy(), LAST_WRITE_MS).unref();
  });
}

/** Finishes the open calls of a server, and closes its connections. After `graceMs` it cuts off the peers that are left. */
export async function shutDown(server: Server, graceMs: number): Promise<void> {
  const open = connections.get(server) ?? new Set();
  // It does not say when the calls have ended: from Node 24 on it calls back at once, and for a connection that it has given
  // up it never does. A connection closes after its last call.
  server.tryShutdown(() => {});
  const closed = [...open].map((socket) => new native.Promise((resolve) => socket.once('close', resolve)));
  await settledWithin(PROCESS_CLOCK, graceMs, native.Promise.all(closed));
  server.forceShutdown();
  // HTTP/2 has sent its last frame, and waits for the peer to close. A stopped peer never does.
  for (const socket of open) socket.destroy();
}
