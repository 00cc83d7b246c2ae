import type { CompressionMode } from '../../proto/compression.js';
import { monotonicNow } from '../machine/clock.js';
import { DeliveryRate, SAMPLE_BYTES } from './delivery-rate.js';
import { PackPolicy } from './pack-policy.js';
import { packFrame, unpackFrame } from './packed-frame.js';

/** Between two questions for the round trip, in milliseconds. */
const PROBE_MS = 1000;
/** A longer time without anything to send is a pause of the sender's, in milliseconds. */
const PAUSE_MS = 2;

/** Packs the frames of one connection where that pays, and measures the connection for it. */
export class FramePacker {
  readonly #policy: PackPolicy;
  readonly #now: () => number;
  readonly #rate = new DeliveryRate();
  /** When each ping left whose answer has not come. */
  readonly #pings: number[] = [];
  #probedAt = Number.NEGATIVE_INFINITY;
  /** When the connection could last have taken more than it was given. */
  #freeAt = Number.NEGATIVE_INFINITY;
  #full = false;
  #waited = false;

  constructor(mode: CompressionMode, now: () => number = monotonicNow) {
    this.#policy = new PackPolicy(mode);
    this.#now = now;
  }

  /** The body of a `packed` packet for a frame that is about to be sent; undefined where it goes as it is. */
  pack(frame: Uint8Array): Uint8Array | undefined {
    const start = this.#now();
    const bandwidth = this.#rate.bytesPerMs ?? this.#rate.most(start);
    if (this.#policy.choose(frame.length, bandwidth, this.#rate.queueMs(start)) === 'raw') return undefined;
    const packed = packFrame(frame);
    const ms = this.#now() - start;
    // The link was not paused for that.
    if (!this.#full) this.#freeAt += ms;
    return this.#policy.packed(frame.length, packed.length, ms, bandwidth) ? packed : undefined;
  }

  /** The frame in the body of a `packed` packet of the peer's. @throws ProtocolError where there is none. */
  unpack(body: Uint8Array): Uint8Array {
    return unpackFrame(body);
  }

  /** Whether to ask for the round trip ahead of a frame of so many bytes. */
  wantsProbe(length: number): boolean {
    if (length < SAMPLE_BYTES || !this.#rate.idle || this.#now() - this.#probedAt < PROBE_MS) return false;
    this.#probedAt = this.#now();
    return true;
  }

  /**
   * Whether the frames behind the first long one are to wait a little, for its acknowledgement or for none to
   * come: the system's buffers would take megabytes of them before anything is known of the link. True once.
   */
  get wantsWait(): boolean {
    if (this.#waited || !this.#rate.unsure) return false;
    this.#waited = true;
    this.#full = true;
    return true;
  }

  /** A frame was given to the connection, as a packet of so many bytes; `full` where it takes no more for now. */
  sent(bytes: number, full: boolean): void {
    const now = this.#now();
    this.#rate.sent(now, bytes, !this.#full && now - this.#freeAt > PAUSE_MS);
    this.#freeAt = now;
    this.#full = full;
  }

  /** The connection takes more again. */
  drained(): void {
    this.#full = false;
    this.#freeAt = this.#now();
  }

  /** The peer has taken so many more frames. */
  acknowledged(count: number): void {
    this.#rate.acknowledged(this.#now(), count);
  }

  pinged(): void {
    this.#pings.push(this.#now());
  }

  /** The answer to the oldest ping. */
  ponged(): void {
    const at = this.#pings.shift();
    if (at !== undefined) this.#rate.roundTrip(this.#now() - at);
  }
}
