import { Duplex } from 'node:stream';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';

/** A LineBytes of proto/farlight.proto. */
export interface LineBytes {
  bytes: Uint8Array;
}

type Call = ServerDuplexStream<LineBytes, LineBytes> | ClientDuplexStream<LineBytes, LineBytes>;

/**
 * A call with bytes both ways, as a stream of bytes. It owns the call, and both directions have back-pressure. `close` is
 * called once, when the stream is closed.
 */
export class ByteStream extends Duplex {
  readonly #call: Call;
  readonly #close: () => void;
  /** Continues to write when gRPC takes messages again. */
  #waiting: (() => void) | undefined;

  constructor(call: Call, close: () => void) {
    super();
    this.#call = call;
    this.#close = close;
    call.on('data', ({ bytes }: LineBytes) => {
      if (bytes.length > 0 && !this.push(bytes)) call.pause();
    });
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

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    if (this.#call.write({ bytes })) done();
    else this.#waiting = done;
  }

  override _final(done: () => void): void {
    this.#call.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#drained();
    this.#close();
    done(error);
  }

  #drained(): void {
    const go = this.#waiting;
    this.#waiting = undefined;
    go?.();
  }
}
