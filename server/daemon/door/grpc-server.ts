import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Server, ServerInterceptor, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { grpc } from '../../../link/grpc/grpc.js';
import { Health } from '../../../link/grpc/health.js';
import {
  ECHO_LIMIT,
  ECHO_MESSAGE_LIMIT,
  type EchoReply,
  type EchoRequest,
  hostDefinitions,
  hostService,
  linesService,
  movesService,
  type RenewReply,
  type RenewRequest,
  sessionsService,
} from '../../../link/grpc/host-service.js';
import { addReflection } from '../../../link/grpc/reflection.js';
import { serveConnection, shutDown } from '../../../link/grpc/serving.js';
import { setTimeout } from '../../../link/machine/clock.js';
import { FarlightError } from '../../../proto/errors.js';
import type { HostDescription } from '../../../proto/session/handshake.js';
import type { SessionEnd } from '../../../proto/session/session-end.js';
import { type Admission, type KnownClient, type Peer, REFUSED_AFTER_MS } from '../../trust/admission.js';
import type { LocalUser } from '../../trust/local-users.js';
import { boundMessages, discard } from './grpc-calls.js';
import { noteLine, serveLines } from './grpc-lines.js';
import { noteMove, serveMoves } from './grpc-moves.js';
import { noteCall, serveSessions } from './grpc-sessions.js';

const { ServerInterceptingCall, status } = grpc();

export interface GrpcServerOptions {
  /** Of this package. */
  version: string;
  describe(): HostDescription;
  renew(request: RenewRequest): RenewReply;
  admission: Admission;
  /** The host refuses a call from this address: a session, or another method. */
  onRefused(end: SessionEnd, remote: string | undefined, asked: 'session' | 'other'): void;
  /** A session's connection, as the stream of bytes that a socket would carry. */
  onSession(connection: Duplex, remote: string | undefined, user: LocalUser): void;
  /** Lines from other hosts' sessions. Absent where the owner allows none. */
  lines?: LinesDoor<unknown> | undefined;
  /** Sessions that other hosts hand over. Absent where the owner allows none. */
  moves?: MovesDoor | undefined;
  /** How long the last bytes of a session's connection may take to leave, in milliseconds. Default 30 s. */
  leaveMs?: number | undefined;
}

/** Admits other hosts that show a ticket. */
export interface LinesDoor<Claim> {
  /**
   * Returns the line of a ticket, which is then used up.
   *
   * @throws FarlightError UNAUTHORIZED, whose sentence is for the other host.
   */
  claim(ticket: string | undefined, peer: Peer): Claim;
  onLine(line: Duplex, claim: Claim): void;
}

/** Admits hosts that hand sessions over, and the clients of these sessions. */
export interface MovesDoor {
  /**
   * The host that shows a token.
   *
   * @throws FarlightError UNAUTHORIZED, whose sentence is for that host.
   */
  admit(token: string | undefined, peer: Peer): KnownClient;
  onMove(stream: Duplex, host: KnownClient): void;
  /** Whether a client shows, in the place of a token, the id of a session that has come from another host. */
  isSession(token: string | undefined): boolean;
}

/** A supervisor in front of a host may check its health without a token. */
const HEALTH_CHECK = '/grpc.health.v1.Health/Check';
const OPEN = sessionsService().Open.path;
const OPEN_LINE = linesService().Open.path;
const OPEN_MOVE = movesService().Open.path;
/** The reason for another host that hands a session over. */
const NO_MOVES = new FarlightError(
  'UNAUTHORIZED',
  'the host takes no sessions from other hosts; its owner allows it with farlight serve --move-from',
);
/** A connection without calls is closed after so many milliseconds. */
const IDLE_MS = 120_000;
/** The most open calls on a connection: a host has fewer sessions. */
const MOST_CALLS = 100;
/**
 * The most memory that HTTP/2 may use for one connection, in MiB; beyond it the connection takes no further call. A
 * proxy puts many sessions on one connection, each with a window of bytes. For an unknown peer the bound is 64 KiB a
 * call.
 */
const SESSION_MIB = 1024;
/** The most calls of an unknown peer on a connection, before the host closes it. */
const MOST_UNKNOWN_CALLS = 16;

/** Answers a host's gRPC calls, sessions included, on connections that the front door gives it. */
export class GrpcServer {
  /** SERVING while the host has a GPU and accepts sessions. */
  readonly health: Health = new Health('farlight.v1.Host');
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
      Renew: ({ request }: ServerUnaryCall<RenewRequest, RenewReply>, reply: sendUnaryData<RenewReply>) =>
        reply(null, options.renew(request)),
    });
    const { lines } = options;
    if (lines) serveLines(this.#server, options.version, (line, claim) => lines.onLine(line, claim));
    const { moves } = options;
    // Also where the owner allows none: another host learns that then.
    serveMoves(this.#server, options.version, (stream, host) => moves?.onMove(stream, host));
    this.health.addTo(this.#server);
    addReflection(this.#server, hostDefinitions);
  }

  /**
   * Serves a connection, whose other end belongs to a process of this user. Calls `known` at the first call of a client
   * that may use the host.
   */
  take(socket: Socket, user: LocalUser, known: () => void): void {
    const connection = { user, known, close: () => socket.destroy() };
    serveConnection(this.#server, socket, admitFirst(this.#options, connection));
  }

  /** Finishes the open calls, for at most `graceMs`, and closes the connections. */
  async close(graceMs: number): Promise<void> {
    await shutDown(this.#server, graceMs);
  }
}

/** Admits a call before reading its message: a message takes memory. */
function admitFirst(
  { admission, onRefused, lines, moves }: GrpcServerOptions,
  connection: { user: LocalUser; known(): void; close(): void },
): ServerInterceptor {
  let known = false;
  let calls = 0;
  /** Does what `check` does for a client that may use the host. @throws FarlightError UNAUTHORIZED */
  const admit = <T>(check: (peer: Peer) => T, remote: string | undefined): T => {
    const admitted = check({ remote, user: connection.user });
    if (!known) connection.known();
    known = true;
    return admitted;
  };
  return ({ path }, call) => {
    calls += 1;
    if (!known && calls > MOST_UNKNOWN_CALLS) connection.close();
    const { remoteAddress } = call.getConnectionInfo();
    if (path === OPEN || path === OPEN_LINE || path === OPEN_MOVE) boundMessages(call);
    const asking = new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            const [authorization] = metadata.get('authorization');
            const token = /^Bearer (.+)$/i.exec(String(authorization ?? ''))?.[1];
            try {
              if (lines && path === OPEN_LINE) {
                const claim = admit((peer) => lines.claim(token, peer), remoteAddress);
                noteLine(asking, call, claim);
              } else if (path === OPEN_MOVE) {
                if (!moves) throw NO_MOVES;
                noteMove(
                  asking,
                  call,
                  admit((peer) => moves.admit(token, peer), remoteAddress),
                );
              } else {
                const isMoved = path === OPEN && moves?.isSession(token) === true;
                admit((peer) => isMoved || admission.admit(token, peer), remoteAddress);
                noteCall(asking, call, { token, user: connection.user });
              }
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
  reply({ code: status.INVALID_ARGUMENT, details: `reply_bytes is above the limit of ${ECHO_LIMIT}` });
}
