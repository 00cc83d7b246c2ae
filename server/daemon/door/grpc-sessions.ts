import type { Duplex } from 'node:stream';
import type {
  Server,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { CallStream } from '../../../link/grpc/call-stream.js';
import { grpc } from '../../../link/grpc/grpc.js';
import { VERSION_KEY } from '../../../link/grpc/grpc-carrier.js';
import { MESSAGE_LIMIT, sessionsService } from '../../../link/grpc/host-service.js';
import type { SessionMessage } from '../../../link/grpc/session-messages.js';
import { isWidened, streamOf, widenWindows } from '../../../link/grpc/windows.js';
import { setTimeout } from '../../../link/machine/clock.js';
import { invariant } from '../../../proto/errors.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { LocalUser } from '../../trust/local-users.js';

/** The private parts of grpc-js 1.14 that have no public way; test/daemon/grpc-sessions.test.ts fails without them. */
interface Private {
  /** Of a call: its message limit, and the decoder that enforces it. */
  maxReceiveMessageSize?: number;
  decoder?: { maxReadMessageLength: number };
  /** Of a handler's stream: the call from the interceptor. */
  call?: object;
}

/** RFC 9113, section 7: the stream is no longer needed. */
const CANCEL = 8;
/** A client that does not read keeps a call open for this long at most. */
const LEAVE_MS = 30_000;

/** The token that a client shows, and the user of this machine that runs its process. */
interface Credentials {
  token: string | undefined;
  user: LocalUser;
}

interface Call extends Credentials {
  remote: string | undefined;
  cancel(): void;
}

/** The interceptor's facts about a call, for the call's handler. */
const calls = new WeakMap<object, Call>();

/**
 * Stores the client of a call for the call's handler, and widens the connection's windows so that it can carry whole
 * sessions. Use this only for known clients.
 *
 * @param asking the call that the interceptor returns for `call`.
 */
export function noteCall(
  asking: ServerInterceptingCall,
  call: ServerInterceptingCallInterface,
  client: Credentials,
): void {
  widenWindows(call, LIMITS.windowBytes);
  // The HTTP/2 stream can end at once and drop unsent bytes.
  const stream = streamOf(call);
  const { remoteAddress: remote } = call.getConnectionInfo();
  calls.set(asking, { ...client, remote, cancel: () => stream.close(CANCEL) });
}

/**
 * Discards the bytes of a refused call if known clients share the connection, as behind a proxy. On other connections
 * nobody reads these bytes, and they are at most 64 KiB.
 */
export function discard(call: ServerInterceptingCallInterface): void {
  if (!isWidened(call)) return;
  const stream = streamOf(call);
  stream.removeAllListeners('data');
  stream.resume();
}

/** Limits the messages of a session's call; the server accepts longer ones in other calls. */
export function boundMessages(call: ServerInterceptingCallInterface): void {
  const base = call as Private;
  invariant(base.decoder, 'a call of grpc-js has its decoder');
  base.maxReceiveMessageSize = MESSAGE_LIMIT;
  base.decoder.maxReadMessageLength = MESSAGE_LIMIT;
}

export interface GrpcSessionsOptions {
  /** Of this package. */
  version: string;
  /** A session's connection, as the stream of bytes that a socket would carry. */
  onSession(connection: Duplex, remote: string | undefined, user: LocalUser): void;
  /** How long the last bytes may take to leave, in milliseconds. Default 30 s. */
  leaveMs?: number | undefined;
}

/** Serves `farlight.v1.Sessions`: each call is one connection of a session. */
export function serveSessions(
  server: Server,
  { version, onSession, leaveMs = LEAVE_MS }: GrpcSessionsOptions,
): void {
  server.addService(sessionsService(), {
    Open(duplex: ServerDuplexStream<SessionMessage, SessionMessage>) {
      const call = calls.get((duplex as Private).call ?? duplex);
      invariant(call, 'the interceptor has stored who calls');
      const { token, remote, user, cancel } = call;
      // Tell the client at once that a host is here: opening the GPU may take longer.
      const metadata = new (grpc().Metadata)();
      metadata.set(VERSION_KEY, version);
      duplex.sendMetadata(metadata);
      const stream = new CallStream(duplex, {
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
