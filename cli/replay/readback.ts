/**
 * Compares two runs of bytes that come bit by bit, each at its own pace, and keeps of them no more than one is ahead
 * of the other.
 */
export class Readback {
  readonly #ahead: Uint8Array[] = [];
  #aheadIsRecorded = false;
  #compared = 0;
  #lengths = { recorded: 0, replayed: 0 };
  #difference: { offset: number; recorded: number; replayed: number } | undefined;

  /** The bytes are a view; valid during the call. */
  recorded(bytes: Uint8Array): void {
    this.#lengths.recorded += bytes.length;
    this.#add(bytes, true);
  }

  replayed(bytes: Uint8Array): void {
    this.#lengths.replayed += bytes.length;
    this.#add(bytes, false);
  }

  /** How many bytes each had. */
  get lengths(): Readonly<{ recorded: number; replayed: number }> {
    return this.#lengths;
  }

  /** The bytes of the recording that the replay has not come to. */
  get recordedAhead(): number {
    return this.#difference ? 0 : Math.max(0, this.#lengths.recorded - this.#lengths.replayed);
  }

  /** The first byte that differs, by its position. */
  get difference(): Readonly<{ offset: number; recorded: number; replayed: number }> | undefined {
    return this.#difference;
  }

  #add(bytes: Uint8Array, isRecorded: boolean): void {
    let rest = bytes;
    while (rest.length > 0 && this.#ahead.length > 0 && this.#aheadIsRecorded !== isRecorded) {
      const other = this.#ahead[0] as Uint8Array;
      const length = Math.min(rest.length, other.length);
      this.#compare(other.subarray(0, length), rest.subarray(0, length), isRecorded);
      rest = rest.subarray(length);
      if (length === other.length) this.#ahead.shift();
      else this.#ahead[0] = other.subarray(length);
    }
    // Nothing more is to be found out once there is a difference.
    if (rest.length === 0 || this.#difference) return;
    this.#aheadIsRecorded = isRecorded;
    this.#ahead.push(rest.slice());
  }

  #compare(ahead: Uint8Array, came: Uint8Array, cameIsRecorded: boolean): void {
    if (!this.#difference && Buffer.compare(ahead, came) !== 0) {
      const at = ahead.findIndex((byte, index) => byte !== came[index]);
      const [recorded, replayed] = cameIsRecorded ? [came, ahead] : [ahead, came];
      this.#difference = {
        offset: this.#compared + at,
        recorded: recorded[at] as number,
        replayed: replayed[at] as number,
      };
    }
    this.#compared += ahead.length;
  }
}
