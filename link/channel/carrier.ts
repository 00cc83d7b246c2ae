import type { PacketKind } from '../../proto/wire/packet.js';

/** Receives a carrier's packets. No function is called during `start`, `send`, `end` or `abort`. */
export interface CarrierEvents {
  /** The peer speaks the protocol. Called once, before the first packet; never on a pipe. */
  onReached?(): void;
  /** A packet. The receiver owns its body. An error that this throws is passed to `onBroken`. */
  onPacket(kind: number | undefined, body: Uint8Array): void;
  /** The carrier takes packets at full speed again, after `send` returned false. */
  onDrain(): void;
  /** The peer sent a malformed packet, or one that could not be handled. No more is read; packets can still be sent. */
  onBroken(error: Error): void;
  /** The connection is gone, with the reason if it is known. Called once, last. */
  onGone(why: Error | undefined): void;
}

/**
 * Moves packets between the two ends of one connection, whole and in order. It knows nothing of sessions, and keeps no
 * packet after it has written it. There is one for each kind of place. `NearCarrier` is for a pipe or a unix socket in
 * the program's own thread, `GrpcCarrier` for the network, and `WebSocketCarrier` for a page. The executor's end of each
 * is a `SocketCarrier`.
 */
export interface Carrier {
  /** Starts to deliver packets, first the packets that have arrived already. Called once. */
  start(events: CarrierEvents): void;
  /**
   * Takes a packet. Returns false if the sender must wait for `onDrain`; the packet is taken in any case. The carrier reads
   * the body until `send` returns true, or until `onDrain` or `onGone` is called, and never later.
   */
  send(kind: PacketKind, body: Uint8Array): boolean;
  /** Closes the connection after the packets that were sent. `left` is called once: when they have left, or never can. */
  end(left?: () => void): void;
  /** Closes the connection now. */
  abort(): void;
  /** Whether the other end is certainly a process of this machine, and this end belongs to the program's own thread. */
  readonly isNear?: boolean;
  /**
   * Sends waiting packets and delivers arrived ones, in place of the event loop. Returns whether anything arrived, and
   * undefined if only the event loop can make progress. Absent if only the event loop ever can.
   */
  turn?(): boolean | undefined;
}
