import { Duplex } from 'node:stream';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ProtocolError } from '../../proto/errors.js';
import { dataHeader, PACKET_LIMIT, PREFACE } from '../../proto/wire/packet.js';
import { PacketDecoder } from '../channel/packet-decoder.js';
import { messageOf, packetOf, type SessionMessage } from './session-messages.js';

export interface CallStreamOptions {
  /** The token from the metadata. It is put into a hello or a resume. */
  token?: string | undefined;
  /** The stream is closed. If not in good order, the call ends at once, and waiting messages are lost. */
  close(inGoodOrder: boolean): void;
}

/**
 * A session's call at the daemon, as the bytes that a bridge carries to the executor: preface and packets, in both
 * directions. It owns the call.
 *
 * Both directions have back-pressure. A writer waits for `drain` while gRPC cannot send, and gRPC reads no message while
 * nobody reads this stream.
 */
export class CallStream extends Duplex {
  readonly #call: ServerDuplexStream<SessionMessage, SessionMessage>;
  readonly #options: CallStreamOptions;
  readonly #decoder = new PacketDecoder(
    (packet) => this.#send(packet),
    PACKET_LIMIT,
    () => {},
  );
  #more = true;
  /** Continues to write when gRPC takes messages again. */
  #waiting: (() => void) | undefined;

  constructor(call: ServerDuplexStream<SessionMessage, SessionMessage>, options: CallStreamOptions) {
    super({ allowHalfOpen: false });
    this.#call = call;
    this.#options = options;
    this.push(PREFACE);
    call.on('data', (message: SessionMessage) => this.#receive(message));
    call.on('end', () => {
      this.push(null);
      // A paused stream must notice the end too, as a socket does.
      this.read(0);
    });
    call.on('drain', () => this.#drained());
    call.on('cancelled', () => this.destroy());
    call.on('error', (error: Error) => this.destroy(error));
    // Messages that are read too early would be in memory twice.
    call.pause();
  }

  override _read(): void {
    this.#call.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    this.#more = true;
    try {
      this.#decoder.push(bytes);
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
    try {
      const { kind, body } = packetOf(message, this.#options.token);
      this.push(dataHeader(body.length, kind));
      if (body.length > 0 && !this.push(body)) this.#call.pause();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.destroy(error);
    }
  }

  #send(packet: Uint8Array): void {
    this.#more = this.#call.write(messageOf(packet[0], packet.subarray(1)));
  }

  #drained(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }
}
