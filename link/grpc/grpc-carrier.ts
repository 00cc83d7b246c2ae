import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { PacketKind } from '../../proto/wire/packet.js';
import type { Carrier, CarrierEvents } from '../channel/carrier.js';
import { setImmediate } from '../machine/clock.js';
import { messageOf, packetOf, type SessionMessage } from './session-messages.js';

/** A host's first metadata: the version of its package. No other server sends it. */
export const VERSION_KEY = 'farlight-version';

/** The session's name, as metadata of each of its calls: a balancer in front of several hosts chooses by it. */
export const SESSION_KEY = 'farlight-session';

export interface GrpcCarrierOptions {
  /**
   * Makes the bytes of a message. It runs before `send` returns, so gRPC keeps none of the frame's own bytes.
   */
  serialize(message: SessionMessage): Buffer;
  /** Closes the connection at once. Waiting messages are lost. */
  close(): void;
  /** Explains to a person why no host was reached. */
  explain(error: Error): Promise<Error>;
}

/**
 * The client's carrier across the network: packets are the messages of a call of `farlight.v1.Sessions/Open`. It owns the
 * call, and the call has a connection of its own.
 */
export class GrpcCarrier implements Carrier {
  readonly #call: ClientDuplexStream<Buffer, SessionMessage>;
  readonly #options: GrpcCarrierOptions;
  #events: CarrierEvents | undefined;
  #isReached = false;
  #isFailing = false;
  /** Packets are ignored: the peer broke the protocol, or this side is closing. */
  #isDeaf = false;
  #gone: { why: Error | undefined } | undefined;
  /** Called when the sent packets have left, or never can. */
  #left: (() => void) | undefined;

  constructor(call: ClientDuplexStream<Buffer, SessionMessage>, options: GrpcCarrierOptions) {
    this.#call = call;
    this.#options = options;
    // A host sends its metadata at once, and its first message when its GPU is open.
    call.on('metadata', (metadata: Metadata) => {
      if (metadata.get(VERSION_KEY).length > 0) this.#reach();
    });
    call.on('data', (message: SessionMessage) => this.#receive(message));
    call.on('drain', () => this.#events?.onDrain());
    call.on('error', (error: Error) => this.#fail(error));
    // `end` follows an error too, whose reason may take time to find.
    call.on('end', () => {
      if (!this.#isFailing) this.#finish(undefined);
    });
    // Until `start`.
    call.pause();
  }

  start(events: CarrierEvents): void {
    this.#events = events;
    const { why } = this.#gone ?? {};
    if (this.#gone) setImmediate(() => events.onGone(why));
    else this.#call.resume();
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    if (this.#gone || this.#isFailing || this.#call.writableEnded) return true;
    return this.#call.write(this.#options.serialize(messageOf(kind, body)));
  }

  end(left: () => void = () => {}): void {
    this.#isDeaf = true;
    this.#left = left;
    this.#call.once('finish', () => this.#tellLeft());
    this.#call.end();
  }

  abort(): void {
    this.#isDeaf = true;
    setImmediate(() => this.#finish(undefined));
  }

  #receive(message: SessionMessage): void {
    if (this.#isDeaf || this.#gone) return;
    try {
      const { kind, body } = packetOf(message);
      this.#reach();
      this.#events?.onPacket(kind, body);
    } catch (error) {
      this.#isDeaf = true;
      this.#events?.onBroken(error as Error);
    }
  }

  /** The peer's first sign proves that it speaks the protocol. */
  #reach(): void {
    if (this.#isReached) return;
    this.#isReached = true;
    this.#events?.onReached?.();
  }

  #fail(error: Error): void {
    if (this.#isFailing || this.#gone) return;
    this.#isFailing = true;
    if (this.#isReached) this.#finish(error);
    else
      this.#options.explain(error).then(
        (reason) => this.#finish(reason),
        () => this.#finish(error),
      );
  }

  #tellLeft(): void {
    this.#left?.();
    this.#left = undefined;
  }

  #finish(why: Error | undefined): void {
    if (this.#gone) return;
    this.#gone = { why };
    this.#tellLeft();
    this.#options.close();
    this.#events?.onGone(why);
  }
}
