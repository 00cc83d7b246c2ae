import type { Http2Server, ServerHttp2Session, Settings } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { invariant } from '../../proto/errors.js';

/** What is used of grpc-js's private parts. A test proves that the window is in force. */
interface Insides {
  commonServerOptions: { settings?: Settings };
  http2Servers: Map<Http2Server, unknown>;
}

/**
 * Lets each client send `bytes` bytes ahead of what the server has read. grpc-js (1.14) has no option
 * for it on servers (grpc-node issue 3058): without this an upload moves 64 KiB per round trip,
 * 1.3 MiB/s at 30 ms.
 *
 * HTTP/2 has two windows. The streams' is a setting, which must be there before the server is bound;
 * the connection's is moved on each connection. So this returns what is to be called at once after
 * each bind, before the event loop can accept a connection.
 */
export function widenReceiveWindow(server: Server, bytes: number): () => void {
  const insides = server as unknown as Insides;
  invariant(
    typeof insides.commonServerOptions === 'object' && insides.http2Servers instanceof Map,
    'grpc-js keeps its HTTP/2 servers elsewhere than flow-control.ts expects',
  );
  insides.commonServerOptions.settings = {
    ...insides.commonServerOptions.settings,
    initialWindowSize: bytes,
  };
  const seen = new WeakSet<Http2Server>();
  return () => {
    for (const http2Server of insides.http2Servers.keys()) {
      if (seen.has(http2Server)) continue;
      seen.add(http2Server);
      http2Server.on('session', (session: ServerHttp2Session) => session.setLocalWindowSize(bytes));
    }
  };
}
