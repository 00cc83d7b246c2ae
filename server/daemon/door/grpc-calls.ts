import type {
  ServerDuplexStream,
  ServerInterceptingCall,
  ServerInterceptingCallInterface,
} from '@grpc/grpc-js';
import { ByteStream, type LineBytes } from '../../../link/grpc/byte-stream.js';
import { grpc } from '../../../link/grpc/grpc.js';
import { VERSION_KEY } from '../../../link/grpc/grpc-carrier.js';
import { MESSAGE_LIMIT } from '../../../link/grpc/host-service.js';
import { isWidened, streamOf, widenWindows } from '../../../link/grpc/windows.js';
import { setTimeout } from '../../../link/machine/clock.js';
import { invariant } from '../../../proto/errors.js';

/** The private parts of grpc-js 1.14 that have no public way; test/daemon/grpc-sessions.test.ts fails without them. */
interface Private {
  /** Of a call: its message limit, and the decoder that enforces it. */
  maxReceiveMessageSize?: number;
  decoder?: { maxReadMessageLength: number };
  /** Of a handler's stream: the call from the interceptor. */
  call?: object;
}

/** A client that does not read keeps an ended call open for this long at most, in milliseconds. */
export const LEAVE_MS = 30_000;

/** RFC 9113, section 7: the stream is no longer needed. */
const CANCEL = 8;

/** The interceptor's facts about the calls of one method, for the method's handler. */
export class NotedCalls<Facts> {
  readonly #windowBytes: number;
  readonly #calls = new WeakMap<object, { facts: Facts; cancel(): void }>();

  /** @param windowBytes how many bytes each call may have on its way. */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /**
   * Stores the facts of a call, and widens its connection's windows. Use this only for known clients.
   *
   * @param asking the call that the interceptor returns for `call`.
   */
  note(asking: ServerInterceptingCall, call: ServerInterceptingCallInterface, facts: Facts): void {
    widenWindows(call, this.#windowBytes);
    const stream = streamOf(call);
    this.#calls.set(asking, { facts, cancel: () => stream.close(CANCEL) });
  }

  /**
   * Tells the client at once that a host is here, and returns the facts of its call. `cancel` ends the call at once and
   * drops unsent bytes.
   */
  answer<Message>(
    duplex: ServerDuplexStream<Message, Message>,
    version: string,
  ): { facts: Facts; cancel(): void } {
    const call = this.#calls.get((duplex as Private).call ?? duplex);
    invariant(call, 'the interceptor has stored the facts of the call');
    const metadata = new (grpc().Metadata)();
    metadata.set(VERSION_KEY, version);
    duplex.sendMetadata(metadata);
    return call;
  }
}

/** The bytes of a call that was answered. Its last bytes leave before it ends, unless the call breaks. */
export function bytesOf(duplex: ServerDuplexStream<LineBytes, LineBytes>, cancel: () => void): ByteStream {
  const stream = new ByteStream(duplex, (inGoodOrder) => {
    if (!inGoodOrder) cancel();
  });
  stream.once('finish', () => setTimeout(cancel, LEAVE_MS).unref());
  return stream;
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

/** Limits the messages of a call that carries a session or a line; the server accepts longer ones in other calls. */
export function boundMessages(call: ServerInterceptingCallInterface): void {
  const base = call as Private;
  invariant(base.decoder, 'a call of grpc-js has its decoder');
  base.maxReceiveMessageSize = MESSAGE_LIMIT;
  base.decoder.maxReadMessageLength = MESSAGE_LIMIT;
}
