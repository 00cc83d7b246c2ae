import { constants, type ServerHttp2Stream } from 'node:http2';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, type TlsOptions, type Server as TlsServer } from 'node:tls';
import type { Metadata, Server, ServerInterceptor } from '@grpc/grpc-js';
import { EagerSocket } from '../../link/grpc/eager-socket.js';
import { grpc } from '../../link/grpc/grpc.js';
import { Health } from '../../link/grpc/health.js';
import { addReflection } from '../../link/grpc/reflection.js';
import { serveConnection, shutDown } from '../../link/grpc/serving.js';
import { streamOf, widenWindows } from '../../link/grpc/windows.js';
import { setTimeout } from '../../link/machine/clock.js';
import { invariant } from '../../proto/errors.js';
import { bearerOf, REFUSED_AFTER_MS } from '../../server/trust/admission.js';
import type { LocalUser } from '../../server/trust/local-users.js';
import { type Address, Newcomers } from '../../server/trust/newcomers/newcomers.js';
import type { Trust } from '../door/trust.js';
import { failureOf } from '../protocol/failures.js';
import { type Client, NOBODY } from '../protocol/repository.js';
import { hasWideWindow } from './first-window.js';
import { type CallsOptions, inferenceCalls } from './inference-calls.js';
import { inferenceDefinitions, inferenceService, SERVICE } from './inference-definitions.js';

export interface GrpcServerOptions extends Omit<CallsOptions, 'clientOf' | 'clientNow'> {
  readonly address: Address;
  readonly trust: Trust;
  /** The most bytes of a message. */
  readonly limit: number;
  /** How long a client may take for the TLS handshake and its first call, in milliseconds. Default 10 s. */
  readonly firstCallMs?: number | undefined;
  /** How long a client may read nothing of an answer, in milliseconds. Default 10 s. */
  readonly unreadMs?: number | undefined;
}

/** A supervisor may ask for the server's health without a token. */
const OPEN = ['/grpc.health.v1.Health/Check', `/${SERVICE}/ServerLive`, `/${SERVICE}/ServerReady`];
/** The bytes that a known client may have on the way in each call. Most messages then need no second round trip. */
const WINDOW_BYTES = 4 << 20;
/** How long a client may read nothing of an answer, in milliseconds. */
const UNREAD_MS = 10_000;
/** A connection without calls is closed after so many milliseconds. */
const IDLE_MS = 300_000;
/** The most open calls on a connection. */
const MOST_CALLS = 128;
/** The most calls of an unknown client on a connection, before the server closes it. */
const MOST_UNKNOWN_CALLS = 16;
/** The most bytes that an unknown client may send in a call: it asks for the server's health alone. */
const MOST_UNKNOWN_BYTES = 1 << 10;
/** gRPC's own limit leaves a message so many bytes beside its tensors. */
const SLACK = 1 << 10;
/** The metadata of a call, as HTTP/2 counts it. */
const MOST_METADATA = 16 << 10;

/** The protocol over gRPC. */
export class GrpcServer {
  readonly health: Health = new Health(SERVICE);
  readonly #options: GrpcServerOptions;
  readonly #server: Server;
  readonly #listener: NetServer;
  readonly #newcomers: Newcomers;
  readonly #admitted = new WeakMap<Metadata, { client: Client; now(): Client }>();

  constructor(options: GrpcServerOptions) {
    const { trust, limit, firstCallMs } = options;
    this.#options = options;
    this.#server = new (grpc().Server)({
      'grpc.max_receive_message_length': limit + SLACK,
      'grpc.max_send_message_length': -1,
      'grpc.max_metadata_size': MOST_METADATA,
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 15_000,
      'grpc.max_connection_idle_ms': IDLE_MS,
      'grpc.max_concurrent_streams': MOST_CALLS,
    });
    const admitted = (metadata: Metadata) => {
      const found = this.#admitted.get(metadata);
      invariant(found, 'the interceptor has stored who calls');
      return found;
    };
    const calls = inferenceCalls({
      ...options,
      clientOf: (metadata) => admitted(metadata).client,
      clientNow: (metadata) => admitted(metadata).now(),
    });
    this.#server.addService(inferenceService(), calls);
    this.health.addTo(this.#server);
    addReflection(this.#server, inferenceDefinitions);
    this.#listener = trust.tls
      ? createTlsServer(tlsOptions(trust.tls.options)).on('tlsClientError', () => {})
      : createServer({ noDelay: true });
    this.#newcomers = new Newcomers(this.#listener, firstCallMs);
    this.#listener.on(
      trust.tls ? 'secureConnection' : 'connection',
      (socket: Socket) => void this.#take(socket),
    );
  }

  /** Resolves to the port. @throws FarlightError PORT_IN_USE, BAD_OPTION (rejects) */
  listen(): Promise<number> {
    return this.#newcomers.listen(this.#options.address, '--grpc');
  }

  /** Shows another certificate to new connections. */
  renew(tls: TlsOptions): void {
    if (this.#options.trust.tls) (this.#listener as TlsServer).setSecureContext(tlsOptions(tls));
  }

  /** Finishes the open calls, for at most `graceMs`, and closes the connections. */
  async close(graceMs: number): Promise<void> {
    this.health.close();
    const closed = this.#newcomers.close();
    await shutDown(this.#server, graceMs);
    this.#newcomers.destroy();
    await closed;
  }

  async #take(socket: Socket): Promise<void> {
    socket.on('error', () => {});
    const { trust } = this.#options;
    // Where the server asks for tokens, they decide, and it does not look up the user.
    const user = trust.tokens ? undefined : await this.#newcomers.userOf(socket, trust.users);
    if (socket.destroyed) return;
    const isWide = await hasWideWindow(socket);
    if (socket.destroyed) return;
    serveConnection(
      this.#server,
      socket,
      this.#admitFirst(socket, user),
      isWide ? this.#eager(socket) : socket,
    );
  }

  /**
   * A client may read nothing while it writes, as Node's. If it takes long answers too, this end must read while it
   * writes. Answers wait here until the client reads them, so it may not stop reading.
   */
  #eager(socket: Socket): EagerSocket {
    socket.setTimeout(this.#options.unreadMs ?? UNREAD_MS, () => {
      if (socket.writableLength > 0) socket.destroy();
    });
    return new EagerSocket(socket);
  }

  /** Admits a call before its message is read: a message takes memory. */
  #admitFirst(socket: Socket, user: LocalUser): ServerInterceptor {
    const { trust, onError, onAnswer, unreadMs = UNREAD_MS } = this.#options;
    const { ServerInterceptingCall, status } = grpc();
    let known = false;
    let calls = 0;
    return ({ path }, call) => {
      calls += 1;
      if (!known && calls > MOST_UNKNOWN_CALLS) socket.destroy();
      return new ServerInterceptingCall(call, {
        sendMessage: (message, next) => {
          endUnread(streamOf(call), unreadMs);
          next(message);
        },
        start: (next) =>
          next({
            onReceiveMetadata: (metadata, go) => {
              try {
                const token = bearerOf(metadata.get('authorization')[0]);
                const now = () => trust.admit(token, { remote: socket.remoteAddress, user });
                this.#admitted.set(metadata, { client: now(), now });
                if (!known) {
                  known = true;
                  this.#newcomers.known(socket);
                  widenWindows(call, WINDOW_BYTES);
                }
              } catch (error) {
                const { grpc: code, sentence: details } = failureOf(error, onError);
                if (!OPEN.includes(path)) {
                  const refusal = { code: status[code], details };
                  onAnswer(code);
                  setTimeout(() => call.sendStatus(refusal), REFUSED_AFTER_MS).unref();
                  return;
                }
                endLong(streamOf(call), MOST_UNKNOWN_BYTES);
                this.#admitted.set(metadata, { client: NOBODY, now: () => NOBODY });
              }
              go(metadata);
            },
          }),
      });
    };
  }
}

function tlsOptions(tls: TlsOptions): TlsOptions {
  return { ...tls, ALPNProtocols: ['h2'] };
}

/**
 * Ends a call whose client sends more than this. grpc-js has one limit for the messages of all calls, and would decompress
 * as much.
 */
function endLong(stream: ServerHttp2Stream, most: number): void {
  let bytes = 0;
  stream.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > most) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}

/** Ends a call whose client reads nothing of its answer for so long: until then the answer is in the server's memory. */
function endUnread(stream: ServerHttp2Stream, ms: number): void {
  // Replaces the timer that the call's answer before this one has set.
  stream.removeAllListeners('timeout');
  stream.setTimeout(ms, () => {
    if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL);
  });
}
