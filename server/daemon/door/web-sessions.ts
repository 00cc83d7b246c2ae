import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { PACKET_LIMIT } from '../../../proto/wire/packet.js';
import type { Refusal } from '../../observatory/session-log.js';

import type { LocalUser } from '../../trust/local-users.js';

/** The path on the page server at which web pages open sessions. */
export const SESSION_PATH = '/session';

/** The longest WebSocket message. A message is a piece of the stream, cut anywhere; Farlight's clients send shorter ones. */
const MESSAGE_BYTES = 2 * PACKET_LIMIT;

export interface WebSessionsOptions {
  /** The origins of pages that may connect, besides the host's own: `https://app.example`, as a browser sends it. */
  allowed: ReadonlySet<string>;
  /** The host refuses a page of another origin. The page does not learn why. */
  onRefused(refusal: Refusal, remote: string | undefined): void;
  /** The user of the process at the other end of a connection. Never rejects. */
  userOf(socket: Socket): Promise<LocalUser>;
  /** A session's connection, as the stream of bytes that a socket would carry. */
  take(connection: Duplex, remote: string | undefined, user: Promise<LocalUser>): void;
}

/** The page server's route for WebSockets that carry sessions. */
export interface WebSessions {
  allowsOrigin(origin: string): boolean;
  handler(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/**
 * Serves sessions of programs in web pages. A WebSocket's binary messages carry the bytes that other clients send over a
 * socket, cut anywhere. The page server checks the page's origin before it answers: every page in a browser on this
 * machine can reach the loopback interface.
 */
export function webSessions({ allowed, onRefused, userOf, take }: WebSessionsOptions): WebSessions {
  // No compression: it would cost the daemon a core for each client.
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: MESSAGE_BYTES,
  });
  return {
    allowsOrigin(origin) {
      if (allowed.has(origin.toLowerCase())) return true;
      const message = `a page of ${origin} asked for the GPU; to allow it, start the host with --allow-origin ${origin}`;
      onRefused({ code: 'UNAUTHORIZED', message }, undefined);
      return false;
    },
    handler(request, socket, head) {
      const remote = request.socket.remoteAddress;
      const user = userOf(request.socket);
      server.handleUpgrade(request, socket, head, (webSocket) => {
        take(createWebSocketStream(webSocket), remote, user);
      });
    },
  };
}
