import { Duplex } from 'node:stream';
import type { ClientDuplexStream, Metadata, ServerDuplexStream } from '@grpc/grpc-js';
import { ProtocolError } from '../../proto/errors.js';
import { PACKET_LIMIT, PREFACE } from '../../proto/wire/packet.js';
import { FrameDecoder } from '../channel/framing.js';
import { messageOf, packetOf, type SessionMessage } from './session-messages.js';

/** Either end of `farlight.v1.Sessions/Open`. */
export type SessionCall =
  | ClientDuplexStream<SessionMessage, SessionMessage>
  | ServerDuplexStream<SessionMessage, SessionMessage>;

/** What a host says first, as metadata: the version of its package. No other server does. */
export const VERSION_KEY = 'farlight-version';
/** What a client calls its session, as metadata of each of the session's calls: a balancer in front of several hosts chooses by it. */
export const SESSION_KEY = 'farlight-session';

export interface GrpcStreamOptions {
  /** The token that came as metadata; of a hello and a resume that are read here. */
  token?: string | undefined;
  /** The stream is closed. Where it did not end in good order, the call ends at once, whatever waits to be sent. */
  close(inGoodOrder: boolean): void;
  /** Why no host was reached, for a person. Default: as gRPC says it. */
  explain?(error: Error): Promise<Error>;
}

/**
 * A gRPC stream as the stream of bytes that a socket would carry: preface and packets, both ways. Each packet is one
 * message. The stream owns the call.
 *
 * Both directions hold their peer back: who writes waits for `drain` while gRPC has messages that cannot leave, and
 * gRPC reads no message while nobody reads here.
 */
export class GrpcStream extends Duplex {
  readonly #call: SessionCall;
  readonly #options: GrpcStreamOptions;
  readonly #decoder = new FrameDecoder((packet) => this.#send(packet), PACKET_LIMIT);
  #prefaceLeft = PREFACE.length;
  #heard = false;
  #failing = false;
  #more = true;
  /** Goes on writing when gRPC takes messages again. */
  #waiting: (() => void) | undefined;

  constructor(call: SessionCall, options: GrpcStreamOptions) {
    super({ allowHalfOpen: false });
    this.#call = call;
    this.#options = options;
    // A host sends its metadata at once, and its first message when its GPU is open.
    call.on('metadata', (metadata: Metadata) => {
      if (metadata.get(VERSION_KEY).length > 0) this.#hear();
    });
    call.on('data', (message: SessionMessage) => this.#receive(message));
    call.on('end', () => this.#ended());
    call.on('drain', () => this.#drained());
    call.on('cancelled', () => this.destroy());
    call.on('error', (error: Error) => this.#failed(error));
    // What is read before anybody reads here would lie in memory twice.
    call.pause();
  }

  override _read(): void {
    this.#call.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#more = true;
    try {
      this.#decoder.push(this.#withoutPreface(bytes));
    } catch (error) {
      done(error as Error);
      return;
    }
    if (this.#more) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#call.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#drained();
    this.#options.close(!error && this.writableFinished);
    done(error);
  }

  #receive(message: SessionMessage): void {
    if (this.destroyed) return;
    let pieces: Uint8Array[];
    try {
      pieces = packetOf(message, this.#options.token);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.destroy(error);
      return;
    }
    this.#hear();
    let more = true;
    for (const piece of pieces) more = this.push(piece);
    if (!more) this.#call.pause();
  }

  /** The peer's first sign shows that it speaks the protocol, as the preface does on a socket. */
  #hear(): void {
    if (this.#heard) return;
    this.#heard = true;
    this.push(PREFACE);
  }

  #send(packet: Uint8Array): void {
    this.#more = this.#call.write(messageOf(packet[0], packet.subarray(1)));
  }

  #withoutPreface(bytes: Uint8Array): Uint8Array {
    const left = Math.min(this.#prefaceLeft, bytes.length);
    this.#prefaceLeft -= left;
    return bytes.subarray(left);
  }

  #drained(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }

  /** A call that fails ends too: the reason is said first, and may have to be found out. */
  #ended(): void {
    if (this.#failing) return;
    this.push(null);
    // Noticed also by who has paused the stream, as the end of a socket is.
    this.read(0);
  }

  #failed(error: Error): void {
    this.#failing = true;
    const { explain } = this.#options;
    if (this.#heard || !explain) this.destroy(error);
    else
      explain(error).then(
        (reason) => this.destroy(reason),
        () => this.destroy(error),
      );
  }
}
