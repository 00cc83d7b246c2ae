import { ProtocolError } from '../../../proto/errors.js';
import type { MemoryPeak } from '../../../proto/session/memory.js';

/**
 * The account of one session's GPU memory: the bytes of its buffers and textures, the peak of these, and its reservation.
 * A new object draws from the reservation first. A destroyed object gives back to the reservation what it has drawn.
 */
export class MemoryLedger {
  #used = 0;
  #peak = 0;
  /** The parts of the reservation that nothing uses, and that objects use. */
  #reserved = 0;
  #drawn = 0;
  readonly #onChange: () => void;

  /** `onChange` is called after each change. */
  constructor(onChange: () => void = () => {}) {
    this.#onChange = onChange;
  }

  get used(): number {
    return this.#used;
  }

  get peak(): number {
    return this.#peak;
  }

  /** The bytes of the reservation that nothing uses. */
  get reserved(): number {
    return this.#reserved;
  }

  /** Whether the session has a reservation, used or not. */
  get hasReservation(): boolean {
    return this.#reserved + this.#drawn > 0;
  }

  /** The bytes that no other session can have. */
  get claimed(): number {
    return this.#used + this.#reserved;
  }

  /** The bytes that no other session could have if an object of so many bytes were made. */
  claimedWith(bytes: number): number {
    return this.#used + Math.max(this.#reserved, bytes);
  }

  /** The peak that the session had in another process. */
  restorePeak(peak: number): void {
    this.#peak = Math.max(peak, this.#used);
    this.#onChange();
  }

  /** An object was made. Returns how much of it is drawn from the reservation. */
  take(bytes: number): number {
    const drawn = Math.min(this.#reserved, bytes);
    this.#reserved -= drawn;
    this.#drawn += drawn;
    this.#used += bytes;
    this.#peak = Math.max(this.#peak, this.#used);
    this.#onChange();
    return drawn;
  }

  /** An object of so many bytes is gone. `drawn` of them came from the reservation. */
  giveBack(bytes: number, drawn: number): void {
    // The reservation may be smaller by now.
    const back = Math.min(this.#drawn, drawn);
    this.#drawn -= back;
    this.#reserved += back;
    this.#used -= bytes;
    this.#onChange();
  }

  reserve(bytes: number): void {
    this.#reserved += bytes;
    this.#onChange();
  }

  /** Gives up a part of the reservation, its unused bytes first. @throws ProtocolError if it has fewer bytes. */
  release(bytes: number): void {
    if (bytes > this.#reserved + this.#drawn) {
      throw new ProtocolError(`${bytes} bytes are released, and fewer are reserved`);
    }
    const unused = Math.min(this.#reserved, bytes);
    this.#reserved -= unused;
    this.#drawn -= bytes - unused;
    this.#onChange();
  }

  /** Returns the peak until now. Then a new peak begins. */
  resetPeak(): MemoryPeak {
    const peak = this.#peak;
    this.#peak = this.#used;
    this.#onChange();
    return { peak, used: this.#used };
  }
}
