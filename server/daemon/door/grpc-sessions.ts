import type { Http2Session, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';
import type {
  Server,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { GrpcStream, VERSION_KEY } from '../../../link/grpc/grpc-stream.js';
import { MESSAGE_LIMIT, sessionsService } from '../../../link/grpc/host-service.js';
import type { SessionMessage } from '../../../link/grpc/session-messages.js';
import { setTimeout } from '../../../link/machine/clock.js';
import { invariant } from '../../../proto/errors.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { LocalUser } from '../../trust/local-users.js';

/** What is private in grpc-js 1.14 and has no other way; test/daemon/grpc-sessions.test.ts fails where it is gone. */
interface Private {
  /** Of a call: its HTTP/2 stream, which can be ended at once, with what waits to be sent. */
  stream?: ServerHttp2Stream;
  /** Of a call: the longest message that it takes, and what holds to that. */
  maxReceiveMessageSize?: number;
  decoder?: { maxReadMessageLength: number };
  /** Of a handler's stream: the call that the interceptor returned. */
  call?: object;
}

/** RFC 9113, section 7: the stream is no longer needed. */
const CANCEL = 8;
/** The largest window that HTTP/2 has (RFC 9113, section 6.9.1). */
const LARGEST_WINDOW = 2 ** 31 - 1;
/** A client that reads nothing keeps no call for longer. */
const LEAVE_MS = 30_000;

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
/** The connections of which it is known whose they are. */
const widened = new WeakSet<Http2Session>();

/**
 * Notes who calls, for the call's handler, and lets the connection carry whole sessions, which grpc-js has no option
 * for: each may have a window's bytes under way, where HTTP/2 has 64 KiB, and one that is not read does not stop the
 * others. Not before it is known who calls: a call may hold a window's bytes of the host's memory.
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
  const { session } = stream;
  if (session && !session.destroyed && !widened.has(session)) {
    widened.add(session);
    session.setLocalWindowSize(LARGEST_WINDOW);
    session.settings({ initialWindowSize: LIMITS.windowBytes });
  }
  const { remoteAddress: remote } = call.getConnectionInfo();
  calls.set(asking, { ...client, remote, cancel: () => stream.close(CANCEL) });
}

/**
 * Keeps nothing of what is sent with a call that is refused on a connection that others use too, as a proxy's. On one of
 * which nobody is known it is not read at all, and 64 KiB are the most.
 */
export function discard(call: ServerInterceptingCallInterface): void {
  const { stream } = call as Private;
  if (!stream?.session || !widened.has(stream.session)) return;
  stream.removeAllListeners('data');
  stream.resume();
}

/** Holds a session's call to what a message of a session may have; the server takes longer ones of other calls. */
export function boundMessages(call: ServerInterceptingCallInterface): void {
  const base = call as Private;
  invariant(base.decoder, 'a call of grpc-js has its decoder');
  base.maxReceiveMessageSize = MESSAGE_LIMIT;
  base.decoder.maxReadMessageLength = MESSAGE_LIMIT;
}

export interface GrpcSessionsOptions {
  /** Of this package. */
  version: string;
  /** Hears a client, on a stream of the bytes that a socket would carry. */
  onSession(connection: Duplex, remote: string | undefined, user: LocalUser): void;
  /** How long what was said last may take to leave, in milliseconds. Default 30 s. */
  leaveMs?: number | undefined;
}

/** Serves `farlight.v1.Sessions`: each call is a connection of a session. */
export function serveSessions(
  server: Server,
  { version, onSession, leaveMs = LEAVE_MS }: GrpcSessionsOptions,
): void {
  server.addService(sessionsService(), {
    Open(duplex: ServerDuplexStream<SessionMessage, SessionMessage>) {
      const call = calls.get((duplex as Private).call ?? duplex);
      invariant(call, 'the interceptor has noted who calls');
      const { token, remote, user, cancel } = call;
      // The client hears at once that a host is here: its GPU may take longer.
      const metadata = new (grpc().Metadata)();
      metadata.set(VERSION_KEY, version);
      duplex.sendMetadata(metadata);
      const stream = new GrpcStream(duplex, {
        token,
        close(inGoodOrder) {
          if (!inGoodOrder) cancel();
        },
      });
      stream.once('finish', () => setTimeout(cancel, leaveMs).unref());
      onSession(stream, remote, user);
    },
  });
}
