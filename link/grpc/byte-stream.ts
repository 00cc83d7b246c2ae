import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { GrpcStream } from './grpc-stream.js';

/** A LineBytes of proto/farlight.proto. */
export interface LineBytes {
  bytes: Uint8Array;
}

type Call = ServerDuplexStream<LineBytes, LineBytes> | ClientDuplexStream<LineBytes, LineBytes>;

/**
 * A call whose messages are bytes, cut anywhere. `close` is called once, when the stream is closed. If not in good order,
 * the call ends at once, and waiting bytes are lost.
 */
export class ByteStream extends GrpcStream<LineBytes> {
  readonly #close: (inGoodOrder: boolean) => void;

  constructor(call: Call, close: (inGoodOrder: boolean) => void) {
    super(call);
    this.#close = close;
  }

  protected override receive({ bytes }: LineBytes): void {
    if (bytes.length > 0 && !this.push(bytes)) this.call.pause();
  }

  protected override send(bytes: Buffer): boolean {
    return this.call.write({ bytes });
  }

  protected override release(inGoodOrder: boolean): void {
    this.#close(inGoodOrder);
  }
}
