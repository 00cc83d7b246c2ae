import type { Silence } from '../../proto/session/handshake.js';
import { NOTHING, PACKET, type PacketKind } from '../../proto/wire/packet.js';
import { clearInterval, clearTimeout, monotonicNow, setInterval, setTimeout } from '../machine/clock.js';
import { type Timer, unref } from '../machine/timer.js';
import type { Carrier, CarrierEvents } from './carrier.js';
import type { Channel, ChannelConnection } from './channel.js';

/** A form in which a connection's frames travel faster: packed, or placed in memory that both ends have. */
export interface FrameForm {
  /** The kind of packet that carries a frame in this form. */
  readonly kind: PacketKind;
  /** Whether the peer takes such a frame from shared memory. Then this side no longer needs its bytes. */
  readonly isPlaced: boolean;
  /** Binds the form to its connection. */
  start(line: FormLine): void;
  /** The packet's body for a frame in this form. Undefined if the frame travels unchanged. */
  encode(frame: Uint8Array): Uint8Array | undefined;
  /** A frame was sent with this many bytes; `more`: the carrier takes another. Returns whether the channel may continue. */
  sent(bytes: number, more: boolean): boolean;
  /** The carrier takes packets again. Returns whether the channel may continue. */
  drained(): boolean;
  /** The frame of a packet in this form. @throws ProtocolError if the packet holds none. */
  decode(body: Uint8Array): Uint8Array;
  /** Sees each packet of another kind before the channel. Returns true if the packet belongs to this form. */
  hear(kind: number | undefined, body: Uint8Array): boolean;
  /** The bytes of a placed frame that the peer has not acknowledged. Undefined if they are gone. */
  recover?(number: number, length: number): Uint8Array | undefined;
  /** A ping leaves. */
  pinged?(): void;
  close(): void;
}

/** A connection, as a form of frames uses it. */
export interface FormLine {
  send(kind: PacketKind, body: Uint8Array): void;
  ping(): void;
  /** Continues the channel after `sent` or `drained` has stopped it. */
  goOn(): void;
  /** Accepts a silent peer from now on: the system reports when it is gone. */
  allowSilence(): void;
  /** The number of the frame that is being sent, and the number of frames that the peer has acknowledged. */
  readonly sending: number;
  readonly acknowledged: number;
  /** The form saved this many bytes. */
  saved(bytes: number, way: 'sent' | 'received'): void;
}

export interface ConnectionEvents {
  /** The peer speaks the protocol. */
  onReached?(): void;
  /** A packet that does not belong to the channel. */
  onPacket(kind: number | undefined, body: Uint8Array): void;
  /** The peer broke the protocol, or a packet cannot be handled here. No more is read. */
  onBroken(error: Error): void;
  /** The connection is gone, and the channel is detached. Called once, last, and never after `release`. */
  onGone(why: Error | undefined): void;
  /** A packed frame saved this many bytes. */
  onSaved?(bytes: number, way: 'sent' | 'received'): void;
}

export interface ConnectionOptions {
  channel: Channel;
  events: ConnectionEvents;
  /** When a silent peer counts as gone. Absent on a pipe. */
  silence?: Silence | undefined;
}

/** Frames are acknowledged after this many milliseconds at most. */
const ACK_DELAY_MS = 100;

/**
 * One connection of a channel: it gives the carrier's packets to the channel, acknowledges in time, and notices when the
 * peer is gone. It owns its carrier. It does not own the channel, which continues on the next connection.
 */
export class Connection implements ChannelConnection, CarrierEvents, FormLine {
  readonly #carrier: Carrier;
  readonly #channel: Channel;
  readonly #events: ConnectionEvents;
  #form: FrameForm | undefined;
  #isGone = false;
  #isBroken = false;
  #error: Error | undefined;
  #ackTimer: Timer | undefined;
  #pingTimer: Timer | undefined;
  #heardAt = monotonicNow();
  #lookedAt = monotonicNow();
  isPlaced = false;

  constructor(carrier: Carrier, { channel, events, silence }: ConnectionOptions) {
    this.#carrier = carrier;
    this.#channel = channel;
    this.#events = events;
    if (silence) this.#pingTimer = unref(setInterval(() => this.#look(silence), silence.pingMs));
    carrier.start(this);
  }

  get isNear(): boolean {
    return this.#carrier.isNear === true;
  }

  /** Whether long frames lie in memory that both ends have. */
  get isShared(): boolean {
    return this.#form?.isPlaced === true;
  }

  get sending(): number {
    return this.#channel.sent;
  }

  get acknowledged(): number {
    return this.#channel.acknowledged;
  }

  /** From now on frames may have this form, in both directions. The connection owns the form. */
  use(form: FrameForm): void {
    if (this.#form || this.#isGone) {
      form.close();
      return;
    }
    this.#form = form;
    form.start(this);
  }

  send(kind: PacketKind, body: Uint8Array): boolean {
    this.isPlaced = false;
    if (this.#isGone) return true;
    const form = this.#form;
    if (!form || kind !== PACKET.data) return this.#carrier.send(kind, body);
    const formed = form.encode(body);
    this.isPlaced = formed !== undefined && form.isPlaced;
    const more = this.#carrier.send(formed ? form.kind : kind, formed ?? body);
    return form.sent((formed ?? body).length, more);
  }

  recover(number: number, length: number): Uint8Array | undefined {
    return this.#form?.recover?.(number, length);
  }

  /** See Carrier. */
  turn(): boolean | undefined {
    return this.#carrier.turn?.();
  }

  /** Closes the connection after the packets that were sent. Of its events only `onGone` follows. */
  end(left?: () => void): void {
    this.#isBroken = true;
    this.#stop();
    this.#carrier.end(left);
  }

  /** Closes the connection now. */
  abort(): void {
    this.#carrier.abort();
  }

  /** Closes the connection now. No event follows, and the channel may continue on another connection. */
  release(): void {
    this.#isGone = true;
    this.#stop();
    this.#carrier.abort();
  }

  onReached(): void {
    if (!this.#isGone) this.#events.onReached?.();
  }

  onPacket(kind: number | undefined, body: Uint8Array): void {
    if (this.#isGone || this.#isBroken) return;
    this.#heardAt = monotonicNow();
    const form = this.#form;
    if (form && form.kind === kind) this.#channel.receive(PACKET.data, form.decode(body));
    else if (!form?.hear(kind, body) && !this.#channel.receive(kind, body)) this.#events.onPacket(kind, body);
    if (this.#channel.owesAck) this.#ackTimer ??= unref(setTimeout(this.#acknowledge, ACK_DELAY_MS));
  }

  onDrain(): void {
    if (!this.#isGone && this.#form?.drained() !== false) this.#channel.drained();
  }

  onBroken(error: Error): void {
    this.#isBroken = true;
    if (!this.#isGone) this.#events.onBroken(error);
  }

  onGone(why: Error | undefined): void {
    if (this.#isGone) return;
    this.#isGone = true;
    // Before `#stop` closes the form: the channel reads placed frames back from its shared memory.
    this.#channel.detach();
    this.#stop();
    this.#events.onGone(this.#error ?? why);
  }

  ping(): void {
    this.#form?.pinged?.();
    this.send(PACKET.ping, NOTHING);
  }

  goOn(): void {
    if (!this.#isGone) this.#channel.drained();
  }

  allowSilence(): void {
    clearInterval(this.#pingTimer);
  }

  saved(bytes: number, way: 'sent' | 'received'): void {
    this.#events.onSaved?.(bytes, way);
  }

  readonly #acknowledge = () => {
    this.#ackTimer = undefined;
    this.#channel.acknowledge();
  };

  #look({ pingMs, deadMs }: Silence): void {
    const now = monotonicNow();
    // This process did not run. The peer's packets of that time are not read yet.
    if (now - this.#lookedAt > 2 * pingMs) this.#heardAt = now;
    this.#lookedAt = now;
    const silent = now - this.#heardAt;
    if (silent >= deadMs) {
      this.#error = new Error(`it said nothing for ${Math.round(silent / 1000)} seconds`);
      this.abort();
    } else if (silent >= pingMs / 2) {
      this.ping();
    }
  }

  #stop(): void {
    clearTimeout(this.#ackTimer);
    clearInterval(this.#pingTimer);
    this.#form?.close();
  }
}
