import { Duplex, type DuplexOptions } from 'node:stream';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';

type Call<Message> = ServerDuplexStream<Message, Message> | ClientDuplexStream<Message, Message>;

/**
 * A call as a stream of bytes, which owns the call.
 *
 * Both directions have back-pressure. A writer waits for `drain` while gRPC cannot send, and gRPC reads no message while
 * nobody reads this stream.
 */
export abstract class GrpcStream<Message> extends Duplex {
  protected readonly call: Call<Message>;
  /** Continues to write when gRPC takes messages again. */
  #waiting: (() => void) | undefined;

  constructor(call: Call<Message>, options?: DuplexOptions) {
    super(options);
    this.call = call;
    call.on('data', (message: Message) => this.receive(message));
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

  /** Pushes the bytes of a message, and pauses the call if nobody reads them now. */
  protected abstract receive(message: Message): void;

  /** Sends bytes as messages. Returns false if gRPC takes no more of them now. */
  protected abstract send(bytes: Buffer): boolean;

  /** The stream is closed. In good order all that was written is with gRPC. */
  protected abstract release(inGoodOrder: boolean): void;

  override _read(): void {
    this.call.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: (error?: Error) => void): void {
    let takesMore: boolean;
    try {
      takesMore = this.send(bytes);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (takesMore) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.call.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#drained();
    this.release(!error && this.writableFinished);
    done(error);
  }

  #drained(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }
}
