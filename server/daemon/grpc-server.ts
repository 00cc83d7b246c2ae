import type { Socket } from 'node:net';
import {
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { clearTimeout, setTimeout } from '../../link/clock.js';
import {
  ECHO_LIMIT,
  ECHO_MESSAGE_LIMIT,
  type EchoReply,
  type EchoRequest,
  hostDefinitions,
  hostService,
} from '../../link/host-service.js';
import { FarlightError } from '../../proto/errors.js';
import type { HostDescription, SessionEnd } from '../../proto/handshake.js';
import type { Admission } from './admission.js';
import { Health } from './health.js';

export interface GrpcServerOptions {
  describe(): HostDescription;
  admission: Admission;
  /** What was asked from this address is not answered. */
  onRefused(end: SessionEnd, remote: string | undefined): void;
}

/** Whoever runs a host behind something that looks after it may ask for its health without a token. */
const HEALTH = '/grpc.health.v1.Health/';
/** A connection on which nothing is asked is closed after so many milliseconds. */
const IDLE_MS = 120_000;

/** What is asked of a host outside of sessions, answered over gRPC on connections that it is given. */
export class GrpcServer {
  readonly health = new Health();
  readonly #server: Server;
  readonly #injector: { injectConnection(socket: Socket): void };

  constructor({ describe, admission, onRefused }: GrpcServerOptions) {
    this.#server = new Server({
      interceptors: [asksFirst(admission, onRefused)],
      'grpc.max_receive_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.max_send_message_length': ECHO_MESSAGE_LIMIT,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 15_000,
      'grpc.max_connection_idle_ms': IDLE_MS,
    });
    this.#server.addService(hostService(), {
      Describe: (_call: unknown, reply: sendUnaryData<HostDescription>) => reply(null, describe()),
      Echo: echo,
    });
    this.health.addTo(this.#server);
    // So that `grpcurl` and the like need no copy of farlight.proto.
    new ReflectionService(hostDefinitions()).addToServer(this.#server);
    // TLS, where it is spoken, is the front door's.
    this.#injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
  }

  take(socket: Socket): void {
    this.#injector.injectConnection(socket);
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
function asksFirst(admission: Admission, onRefused: GrpcServerOptions['onRefused']): ServerInterceptor {
  return ({ path }, call) => {
    if (path.startsWith(HEALTH)) return new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata: (metadata, go) => {
            const [authorization] = metadata.get('authorization');
            const token = /^Bearer (.+)$/i.exec(String(authorization ?? ''))?.[1];
            const { remoteAddress } = call.getConnectionInfo();
            try {
              admission.admit(token, remoteAddress);
            } catch (error) {
              if (!(error instanceof FarlightError)) throw error;
              onRefused({ code: 'UNAUTHORIZED', message: error.message }, remoteAddress);
              call.sendStatus({ code: status.UNAUTHENTICATED, details: error.message });
              return;
            }
            go(metadata);
          },
        }),
    });
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
