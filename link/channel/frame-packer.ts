import type { CompressionMode } from '../../proto/session/compression.js';
import { decodeCount, HEADER_BYTES, PACKET, type PacketKind } from '../../proto/wire/packet.js';
import { clearTimeout, monotonicNow, setTimeout } from '../machine/clock.js';
import type { Timer } from '../machine/timer.js';
import type { FormLine, FrameForm } from './connection.js';
import { DeliveryRate, SAMPLE_BYTES } from './delivery-rate.js';
import { PackPolicy } from './pack-policy.js';
import { packFrame, unpackFrame } from './packed-frame.js';

/** Between two questions for the round trip, in milliseconds. */
const PROBE_MS = 1000;
/** A longer time without anything to send is a pause of the sender's, in milliseconds. */
const PAUSE_MS = 2;

/** How long the second frame waits at most for the acknowledgement of the first long one, in milliseconds. */
const FIRST_WAIT_MS = 100;

/** Compresses the frames of one connection if they arrive sooner for it, and measures the connection to know that. */
export class FramePacker implements FrameForm {
  readonly kind: PacketKind = PACKET.packed;
  readonly isPlaced = false;
  readonly #policy: PackPolicy;
  readonly #now: () => number;
  readonly #rate = new DeliveryRate();
  /** When each ping left whose pong has not arrived. */
  readonly #pings: number[] = [];
  #line: FormLine | undefined;
  /** The length of the frame that is being sent. */
  #length = 0;
  #probedAt = Number.NEGATIVE_INFINITY;
  /** When the connection could last have taken another frame. */
  #freeAt = Number.NEGATIVE_INFINITY;
  /** The carrier takes no packets now. */
  #carrierFull = false;
  /** While it runs, the frames after the first long one wait. */
  #wait: Timer | undefined;
  #hasWaited = false;

  constructor(mode: CompressionMode, now: () => number = monotonicNow) {
    this.#policy = new PackPolicy(mode);
    this.#now = now;
  }

  start(line: FormLine): void {
    this.#line = line;
  }

  encode(frame: Uint8Array): Uint8Array | undefined {
    this.#length = frame.length;
    this.#probe();
    const start = this.#now();
    const bandwidth = this.#rate.bytesPerMs ?? this.#rate.most(start);
    if (this.#policy.choose(frame.length, bandwidth, this.#rate.queueMs(start)) === 'raw') return undefined;
    const packed = packFrame(frame);
    const ms = this.#now() - start;
    // The link was not paused for that.
    if (!this.#isFull) this.#freeAt += ms;
    return this.#policy.packed(frame.length, packed.length, ms, bandwidth) ? packed : undefined;
  }

  /**
   * The frames after the first long one wait a little for its acknowledgement. Otherwise the system's buffers would take
   * megabytes of frames before the speed of the line is known.
   */
  sent(bytes: number, more: boolean): boolean {
    const now = this.#now();
    this.#rate.sent(now, HEADER_BYTES + bytes, !this.#isFull && now - this.#freeAt > PAUSE_MS);
    this.#freeAt = now;
    this.#carrierFull = !more;
    if (bytes < this.#length) this.#line?.saved(this.#length - bytes, 'sent');
    if (this.#hasWaited || !this.#rate.unsure) return more;
    this.#hasWaited = true;
    this.#wait = setTimeout(this.#endWait, FIRST_WAIT_MS);
    return false;
  }

  drained(): boolean {
    this.#carrierFull = false;
    if (this.#wait) return false;
    this.#freeAt = this.#now();
    return true;
  }

  decode(body: Uint8Array): Uint8Array {
    const frame = unpackFrame(body);
    this.#line?.saved(frame.length - body.length, 'received');
    return frame;
  }

  hear(kind: number | undefined, body: Uint8Array): boolean {
    if (kind === PACKET.pong) {
      const at = this.#pings.shift();
      if (at !== undefined) this.#rate.roundTrip(this.#now() - at);
    } else if (kind === PACKET.ack) {
      const count = decodeCount(body) - (this.#line?.acknowledged ?? 0);
      this.#rate.acknowledged(this.#now(), Math.max(count, 0));
      if (this.#wait) this.#endWait();
    }
    return false;
  }

  pinged(): void {
    this.#pings.push(this.#now());
  }

  close(): void {
    clearTimeout(this.#wait);
    this.#line = undefined;
  }

  get #isFull(): boolean {
    return this.#carrierFull || this.#wait !== undefined;
  }

  readonly #endWait = () => {
    clearTimeout(this.#wait);
    this.#wait = undefined;
    if (this.#carrierFull) return;
    this.#freeAt = this.#now();
    this.#line?.goOn();
  };

  /** Measures the round trip before a long frame. */
  #probe(): void {
    if (this.#length < SAMPLE_BYTES || !this.#rate.idle || this.#now() - this.#probedAt < PROBE_MS) return;
    this.#probedAt = this.#now();
    this.#line?.ping();
  }
}
