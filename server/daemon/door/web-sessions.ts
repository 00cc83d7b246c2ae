import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { FarlightError } from '../../../proto/errors.js';
import { PACKET_LIMIT } from '../../../proto/wire/packet.js';
import type { Refusal } from '../../observatory/session-log.js';
import type { UpgradeRoute } from '../../page/page-server.js';
import type { LocalUser } from '../../trust/local-users.js';

/** Where pages connect, on the page server. */
export const SESSION_PATH = '/session';

/** A message is a piece of the stream, of whatever length its sender likes; ours send no longer ones. */
const MESSAGE_BYTES = 2 * PACKET_LIMIT;

export interface WebSessionsOptions {
  /** The pages that may connect, beside the host's own: `https://app.example`, as a browser sends it. */
  allowOrigins: readonly string[];
  /** A page of another origin wants to connect; it is told nothing of why not. */
  onRefused(refusal: Refusal, remote: string | undefined): void;
  /** Whose process has the other end of a connection. Never rejects. */
  userOf(socket: Socket): Promise<LocalUser>;
  /** Hears a client, on a stream of the bytes that a socket would carry. */
  take(connection: Duplex, remote: string | undefined, user: Promise<LocalUser>): void;
}

/**
 * Sessions of programs in web pages: what other clients send over a socket comes in binary messages of a WebSocket,
 * cut anywhere. Which pages may connect is asked before anything is answered: every page that a browser of this
 * machine opens can reach the loopback interface.
 *
 * @throws FarlightError BAD_OPTION where one of the origins is none.
 */
export function webSessions({ allowOrigins, onRefused, userOf, take }: WebSessionsOptions): UpgradeRoute {
  const allowed = new Set(allowOrigins.map(parseOrigin));
  // Compression would cost the daemon, which looks into nothing, a core for each client.
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES,
  });
  return {
    allowsOrigin(origin) {
      if (allowed.has(origin.toLowerCase())) return true;
      const message = `a page of ${origin} wants to use the GPU; if it may, start the host with --allow-origin ${origin}`;
      onRefused({ code: 'UNAUTHORIZED', message }, undefined);
      return false;
    },
    handler(request: IncomingMessage, socket: Duplex, head: Buffer) {
      const remote = request.socket.remoteAddress;
      const user = userOf(request.socket);
      server.handleUpgrade(request, socket, head, (webSocket) => {
        take(createWebSocketStream(webSocket), remote, user);
      });
    },
  };
}

/** An origin as browsers send it. */
function parseOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'https:' || url?.protocol === 'http:';
  if (url && isWeb && url.href === `${url.origin}/`) return url.origin;
  throw new FarlightError(
    'BAD_OPTION',
    `"${text}" is not the origin of a page; write its scheme, host and port alone, for example https://app.example or http://localhost:5173`,
  );
}
