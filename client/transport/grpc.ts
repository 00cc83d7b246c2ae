import type { ChannelOptions, Client, ClientDuplexStream, StatusObject, status } from '@grpc/grpc-js';
import { grpc } from '../../link/grpc.js';
import { hostService } from '../../link/host-service.js';
import {
  type ClientMessage,
  type HostMessage,
  STREAM_FRAME_LIMIT,
  STREAM_MESSAGE_LIMIT,
} from '../../proto/envelope.js';
import { FarlightError, invariant } from '../../proto/errors.js';
import { type HostAddress, parseHostAddress } from './host-address.js';
import { SocketHold } from './socket-hold.js';
import type { Hello, Link, LinkEvents, Transport } from './transport.js';

/** How long a host may take to answer at all, in milliseconds. Opening its GPU may take longer. */
export const CONNECT_TIMEOUT_MS = 5000;
/** How long a host may take to end a session in good order, in milliseconds, before it is cut off. */
const CLOSE_TIMEOUT_MS = 2000;
/** The bytes that may be under way to the host before `send` asks its caller to wait. */
const SEND_WATERMARK = 4 * 1024 * 1024;
/** The bytes that the host may send before it hears that they were read: two of the longest frames. */
const RECEIVE_WINDOW = 2 * STREAM_FRAME_LIMIT;

/** What gRPC says of a server that answers in another protocol, or in HTTP/2 without gRPC. */
const NOT_GRPC = /Protocol error|Parse Error|HTTP|without gRPC status/i;

export const CHANNEL_OPTIONS: ChannelOptions = {
  'grpc.max_receive_message_length': STREAM_MESSAGE_LIMIT,
  'grpc.max_send_message_length': STREAM_MESSAGE_LIMIT,
  'grpc-node.flow_control_window': RECEIVE_WINDOW,
  // A session has a connection of its own: its own congestion window, and a life that ends with it.
  'grpc.use_local_subchannel_pool': 1,
  // A session is not to be replayed by gRPC, and its messages not to be kept for that.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  // A host that vanished without a word is noticed within a minute.
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 15_000,
};

/**
 * A transport to a host across the network.
 *
 * @throws FarlightError BAD_URL where the address is not one.
 */
export function grpcTransport(url: string): Transport {
  const address = parseHostAddress(url);
  return {
    target: address.url,
    open: (hello, events) => new GrpcLink(address, hello, events),
  };
}

/**
 * States: *connecting* -> *reached* (the host answered, and may still be opening its GPU) -> *open*
 * (after Welcome) -> *closed* (the call has ended and every message before its end was handed on).
 * Each leads to *closed* too: by `close`, by the host's SessionEnd, or by a lost connection.
 */
class GrpcLink implements Link {
  readonly #address: HostAddress;
  readonly #events: LinkEvents;
  readonly #hold = new SocketHold();
  readonly #client: Client;
  readonly #call: ClientDuplexStream<ClientMessage, HostMessage>;
  #reached = false;
  #welcomed = false;
  #closedHere = false;
  /** Why the session ends, where that is known better than from the call's status. */
  #reason: FarlightError | undefined;
  #status: StatusObject | undefined;
  #readAll = false;
  #bytesUnderWay = 0;
  #mustDrain = false;
  #timer: NodeJS.Timeout;

  constructor(address: HostAddress, hello: Hello, events: LinkEvents) {
    this.#address = address;
    this.#events = events;
    this.#client = new (grpc().Client)(address.target, this.#hold.credentials(), CHANNEL_OPTIONS);
    const { path, requestSerialize, responseDeserialize } = hostService().Session;
    this.#call = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.#call.write({ hello });
    this.#timer = setTimeout(() => {
      this.#reason = new FarlightError(
        'UNREACHABLE',
        `nothing answers at ${address.url} within ${CONNECT_TIMEOUT_MS / 1000} seconds; start a host there with: farlight serve`,
      );
      this.#call.cancel();
    }, CONNECT_TIMEOUT_MS).unref();
    this.#listen();
  }

  send(frame: Uint8Array): boolean {
    if (this.#closedHere || this.#status) return true;
    invariant(frame.length <= STREAM_FRAME_LIMIT, `a frame of ${frame.length} bytes was not split`);
    this.#bytesUnderWay += frame.length;
    this.#call.write({ commands: frame }, () => {
      this.#bytesUnderWay -= frame.length;
      if (!this.#mustDrain || this.#bytesUnderWay > SEND_WATERMARK / 2) return;
      this.#mustDrain = false;
      if (!this.#closedHere && !this.#status) this.#events.onDrain();
    });
    this.#mustDrain ||= this.#bytesUnderWay >= SEND_WATERMARK;
    return !this.#mustDrain;
  }

  close(): void {
    if (this.#closedHere || this.#status) return;
    this.#closedHere = true;
    this.#call.end();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#call.cancel(), CLOSE_TIMEOUT_MS).unref();
  }

  ref(): void {
    this.#hold.set(true);
  }

  unref(): void {
    this.#hold.set(false);
  }

  #listen(): void {
    this.#call.on('metadata', () => {
      this.#reached = true;
      if (!this.#closedHere) clearTimeout(this.#timer);
    });
    this.#call.on('data', (message: HostMessage) => {
      if ('replies' in message) this.#events.onFrame(message.replies);
      else if ('welcome' in message) {
        this.#welcomed = true;
        this.#events.onWelcome(message.welcome);
      } else if ('end' in message) {
        const { code, message: sentence } = message.end;
        this.#reason = new FarlightError(code === 'UNSPECIFIED' ? 'DISCONNECTED' : code, sentence);
      }
    });
    // The status says the same, and comes when there is none of this as well.
    this.#call.on('error', () => {});
    this.#call.on('status', (status: StatusObject) => {
      this.#status = status;
      this.#finish();
    });
    this.#call.on('end', () => {
      this.#readAll = true;
      this.#finish();
    });
  }

  #finish(): void {
    if (!this.#status || !this.#readAll) return;
    clearTimeout(this.#timer);
    this.#client.close();
    this.#hold.destroy();
    this.#events.onClose(this.#closedHere ? undefined : (this.#reason ?? this.#explain(this.#status)));
  }

  #explain({ code, details }: StatusObject): FarlightError {
    const { url } = this.#address;
    if (!this.#reached || (!this.#welcomed && isForeign(code, details)))
      return unreachable(url, code, details);
    if (code === grpc().status.RESOURCE_EXHAUSTED) {
      return new FarlightError('PROTOCOL_ERROR', `the connection to ${url} was given up: ${details}`);
    }
    const why = code === grpc().status.OK ? 'the host ended it without a reason' : details;
    return new FarlightError(
      'DISCONNECTED',
      `the connection to ${url} was lost (${why}); start the program again`,
    );
  }
}

/** The error for a host that could not be reached, from the status that gRPC gives. */
export function unreachable(url: string, code: status, details: string): FarlightError {
  const reason = /\b(E[A-Z]{4,})\b/.exec(details)?.[1] ?? details;
  const why = isForeign(code, details) ? 'what answers is not a farlight host' : reason;
  return new FarlightError(
    'UNREACHABLE',
    `no farlight host at ${url} (${why}); start one there with: farlight serve`,
  );
}

/** Whether what answered is some other server: it lacks the service, or what it says is not gRPC. */
function isForeign(code: status, details: string): boolean {
  const { UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL } = grpc().status;
  return [UNIMPLEMENTED, RESOURCE_EXHAUSTED, INTERNAL].includes(code) || NOT_GRPC.test(details);
}
