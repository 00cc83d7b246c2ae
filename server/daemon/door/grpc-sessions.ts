import type { Duplex } from 'node:stream';
import type {
  Server,
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { CallStream } from '../../../link/grpc/call-stream.js';
import { sessionsService } from '../../../link/grpc/host-service.js';
import type { SessionMessage } from '../../../link/grpc/session-messages.js';
import { setTimeout } from '../../../link/machine/clock.js';
import { LIMITS } from '../../../proto/wire/limits.js';
import type { LocalUser } from '../../trust/local-users.js';
import { LEAVE_MS, NotedCalls } from './grpc-calls.js';

/** The token that a client shows, and the user of this machine that runs its process. */
interface Credentials {
  token: string | undefined;
  user: LocalUser;
}

const calls = new NotedCalls<Credentials & { remote: string | undefined }>(LIMITS.windowBytes);

/** Stores the client of a call for the call's handler. Use this only for known clients. */
export function noteCall(
  asking: ServerInterceptingCall,
  call: ServerInterceptingCallInterface,
  client: Credentials,
): void {
  const { remoteAddress: remote } = call.getConnectionInfo();
  calls.note(asking, call, { ...client, remote });
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
      // Opening the GPU may take longer.
      const { facts, cancel } = calls.answer(duplex, version);
      const { token, remote, user } = facts;
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
