import type { Http2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import {
  Metadata,
  type Server,
  type ServerDuplexStream,
  type ServerInterceptingCall,
  type ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { GrpcStream, VERSION_KEY } from '../../link/grpc-stream.js';
import { sessionsService } from '../../link/host-service.js';
import type { SessionMessage } from '../../link/session-messages.js';
import { invariant } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';
import type { LocalUser } from '../trust/local-users.js';

/** What is private in grpc-js 1.14 and has no other way; test/server/grpc-sessions.test.ts fails where it is gone. */
interface Private {
  /** Of a call: its HTTP/2 stream, which can be ended at once, with what waits to be sent. */
  stream?: { close(code: number): void; session?: Pick<Http2Session, 'setLocalWindowSize'> };
  /** Of a handler's stream: the call that the interceptor returned. */
  call?: object;
  /** Of a server: what becomes of each connection. */
  commonServerOptions?: { settings?: object };
}

/** RFC 9113, section 7: the stream is no longer needed. */
const CANCEL = 8;
/** The largest window that HTTP/2 has (RFC 9113, section 6.9.1). */
const LARGEST_WINDOW = 2 ** 31 - 1;

/** Who calls: what was shown, and the user of this machine whose process it is. */
interface Client {
  token: string | undefined;
  user: LocalUser;
}

interface Call extends Client {
  remote: string | undefined;
  cancel(): void;
}

/** What the interceptor knows of a call, for the call's handler. */
const calls = new WeakMap<object, Call>();

/**
 * Notes who calls, for the call's handler, and lets the connection carry whole sessions: HTTP/2's window for it is
 * 64 KiB otherwise, and one session that is not read would stop the others.
 *
 * @param asking the call that the interceptor returns for `call`.
 */
export function noteCall(
  asking: ServerInterceptingCall,
  call: ServerInterceptingCallInterface,
  client: Client,
): void {
  const { stream } = call as Private;
  invariant(stream, 'a call of grpc-js has its stream');
  stream.session?.setLocalWindowSize(LARGEST_WINDOW);
  const { remoteAddress: remote } = call.getConnectionInfo();
  calls.set(asking, { ...client, remote, cancel: () => stream.close(CANCEL) });
}

/**
 * Lets each session have a window's bytes under way: grpc-js has no option for a server's windows, which are 64 KiB for
 * each round trip. To be called before the server has any connection.
 */
export function widenStreams(server: Server): void {
  const { commonServerOptions } = server as unknown as Private;
  invariant(commonServerOptions, 'a server of grpc-js has its options');
  commonServerOptions.settings = {
    ...commonServerOptions.settings,
    initialWindowSize: LIMITS.windowBytes,
  };
}

export interface GrpcSessionsOptions {
  /** Of this package. */
  version: string;
  /** Hears a client, on a stream of the bytes that a socket would carry. */
  onSession(connection: Duplex, remote: string | undefined, user: LocalUser): void;
}

/** Serves `farlight.v1.Sessions`: each call is a connection of a session. */
export function serveSessions(server: Server, { version, onSession }: GrpcSessionsOptions): void {
  server.addService(sessionsService(), {
    Open(duplex: ServerDuplexStream<SessionMessage, SessionMessage>) {
      const call = calls.get((duplex as Private).call ?? duplex);
      invariant(call, 'the interceptor has noted who calls');
      const { token, remote, user, cancel } = call;
      // The client hears at once that a host is here: its GPU may take longer.
      const metadata = new Metadata();
      metadata.set(VERSION_KEY, version);
      duplex.sendMetadata(metadata);
      const stream = new GrpcStream(duplex, {
        token,
        close(inGoodOrder) {
          if (!inGoodOrder) cancel();
        },
      });
      onSession(stream, remote, user);
    },
  });
}
