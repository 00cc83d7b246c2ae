import type { ServerDuplexStream } from '@grpc/grpc-js';
import { ProtocolError } from '../../proto/errors.js';
import { dataHeader, PACKET_LIMIT, PREFACE } from '../../proto/wire/packet.js';
import { PacketDecoder } from '../channel/packet-decoder.js';
import { GrpcStream } from './grpc-stream.js';
import { messageOf, packetOf, type SessionMessage } from './session-messages.js';

export interface CallStreamOptions {
  /** The token from the metadata. It is put into a hello or a resume. */
  token?: string | undefined;
  /** The stream is closed. If not in good order, the call ends at once, and waiting messages are lost. */
  close(inGoodOrder: boolean): void;
}

/**
 * A session's call at the daemon, as the bytes that a bridge carries to the executor: preface and packets, in both
 * directions.
 */
export class CallStream extends GrpcStream<SessionMessage> {
  readonly #options: CallStreamOptions;
  readonly #decoder = new PacketDecoder(
    (packet) => {
      this.#takesMore = this.call.write(messageOf(packet[0], packet.subarray(1)));
    },
    PACKET_LIMIT,
    () => {},
  );
  #takesMore = true;

  constructor(call: ServerDuplexStream<SessionMessage, SessionMessage>, options: CallStreamOptions) {
    super(call, { allowHalfOpen: false });
    this.#options = options;
    this.push(PREFACE);
  }

  protected override receive(message: SessionMessage): void {
    if (this.destroyed) return;
    try {
      const { kind, body } = packetOf(message, this.#options.token);
      this.push(dataHeader(body.length, kind));
      if (body.length > 0 && !this.push(body)) this.call.pause();
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.destroy(error);
    }
  }

  protected override send(bytes: Buffer): boolean {
    this.#takesMore = true;
    this.#decoder.push(bytes);
    return this.#takesMore;
  }

  protected override release(inGoodOrder: boolean): void {
    this.#options.close(inGoodOrder);
  }
}
