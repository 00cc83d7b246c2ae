import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server, ServerInterceptor, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { grpc, grpcReflection } from '../../../link/grpc/grpc.js';
import {
  ECHO_LIMIT,
  ECHO_MESSAGE_LIMIT,
  type EchoReply,
  type EchoRequest,
  hostDefinitions,
  hostService,
  sessionsService,
} from '../../../link/grpc/host-service.js';
import { clearTimeout, setTimeout } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import type { HostDescription, SessionEnd } from '../../../proto/handshake.js';
import { type Admission, REFUSED_AFTER_MS } from '../../trust/admission.js';
import type { LocalUser } from '../../trust/local-users.js';
import { boundMessages, discard, noteCall, serveSessions } from './grpc-sessions.js';
import { Health } from './health.js';

const { experimental, ServerCredentials, ServerInterceptingCall, status } = grpc();

export interface GrpcServerOptions {
  /** Of this package. */
  version: string;
  describe(): HostDescription;
  admission: Admission;
  /** What was asked from this address is not answered: a session, or something else. */
  onRefused(end: SessionEnd, remote: string | undefined, asked: 'session' | 'other'): void;
  /** Hears a session's client, on a stream of the bytes that a socket would carry. */
  onSession(connection: Duplex, remote: string | undefined, user: LocalUser): void;
  /** How long what was said last on a session's connection may take to leave, in milliseconds. Default 30 s. */
  leaveMs?: number | undefined;
}

/** Whoever runs a host behind something that looks after it may ask for its health without a token. */
const HEALTH_CHECK = '/grpc.health.v1.Health/Check';
const OPEN = sessionsService().Open.path;
/** A connection on which nothing is asked is closed after so many milliseconds. */
const IDLE_MS = 120_000;
/** Calls that may be open at a time on a connection: a host has fewer sessions. */
const MOST_CALLS = 100;
/**
 * What HTTP/2 may hold for one connection, in MiB; beyond it no other call is taken on it. A proxy puts many sessions
 * on one, each with a window's bytes. Before it is known whose a connection is, 64 KiB for each call are the bound.
 */
const SESSION_MIB = 1024;
/** Calls on a connection of which it is not known whose it is, before it is closed. */
const MOST_UNKNOWN_CALLS = 16;

/** What is asked of a host, and its sessions, over gRPC on connections that it is given. */
export class GrpcServer {
  readonly health = new Health();
  readonly #options: GrpcServerOptions;
  readonly #server: Server;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#server = new (grpc().Server)({
      'grpc.max_receive_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.max_send_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 15_000,
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.max_concurrent_streams': MOST_CALLS,
      'grpc-node.max_session_memory': SESSION_MIB,
    });
    serveSessions(this.#server, options);
    this.#server.addService(hostService(), {
      Describe: (_call: unknown, reply: sendUnaryData<HostDescription>) => reply(null, options.describe()),
      Echo: echo,
    });
    this.health.addTo(this.#server);
    // So that `grpcurl` and the like need no copy of farlight.proto.
    new (grpcReflection().ReflectionService)(hostDefinitions()).addToServer(this.#server);
  }

  /**
   * Answers what is asked on a connection, whose other end a process of this user has. `known` is called with the first
   * call of somebody who may use the host.
   */
  take(socket: Socket, user: LocalUser, known: () => void): void {
    // One for each, since what is called does not say on which connection.
    const asks = asksFirst(this.#options, { user, known, close: () => socket.destroy() });
    // TLS, where it is spoken, is the front door's.
    const credentials = experimental.createServerCredentialsWithInterceptors(
      ServerCredentials.createInsecure(),
      [asks],
    );
    const injector = this.#server.createConnectionInjector(credentials);
    socket.once('close', () => injector.destroy());
    injector.injectConnection(socket);
  }

  /** Answers what was asked, and closes the connections; those that are in use after `graceMs` as well. */
  async close(graceMs: number): Promise<void> {
    const cutOff = setTimeout(() => this.#server.forceShutdown(), graceMs);
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    clearTimeout(cutOff);
    this.#server.forceShutdown();
  }
}

/** Asks who calls before it reads what is asked: a message takes memory. */
function asksFirst(
  { admission, onRefused }: GrpcServerOptions,
  connection: { user: LocalUser; known(): void; close(): void },
): ServerInterceptor {
  let known = false;
  let calls = 0;
  /** @throws FarlightError UNAUTHORIZED */
  const admit = (token: string | undefined, remote: string | undefined) => {
    admission.admit(token, { remote, user: connection.user });
    if (!known) connection.known();
    known = true;
  };
  return ({ path }, call) => {
    calls += 1;
    if (!known && calls > MOST_UNKNOWN_CALLS) connection.close();
    const { remoteAddress } = call.getConnectionInfo();
    if (path === OPEN) boundMessages(call);
    const asking = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            const [authorization] = metadata.get('authorization');
            const token = /^Bearer (.+)$/i.exec(String(authorization ?? ''))?.[1];
            try {
              admit(token, remoteAddress);
              noteCall(asking, call, { token, user: connection.user });
            } catch (error) {
              if (!(error instanceof FarlightError)) throw error;
              if (path !== HEALTH_CHECK) {
                const asked = path === OPEN ? 'session' : 'other';
                onRefused({ code: 'UNAUTHORIZED', message: error.message }, remoteAddress, asked);
                discard(call);
                const refusal = { code: status.UNAUTHENTICATED, details: error.message };
                setTimeout(() => call.sendStatus(refusal), REFUSED_AFTER_MS).unref();
                return;
              }
            }
            go(metadata);
          },
        }),
    });
    return asking;
  };
}

function echo(call: ServerUnaryCall<EchoRequest, EchoReply>, reply: sendUnaryData<EchoReply>): void {
  const { replyBytes } = call.request;
  if (replyBytes <= ECHO_LIMIT) {
    reply(null, { payload: Buffer.alloc(replyBytes) });
    return;
  }
  reply({ code: status.INVALID_ARGUMENT, details: `reply_bytes is over the limit of ${ECHO_LIMIT}` });
}
