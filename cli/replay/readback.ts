/**
 * Compares two runs of bytes that arrive bit by bit, each at its own pace. Where one run is ahead of the
 * other, it keeps the bytes that the other still has to bring.
 */
export class Readback {
  readonly #ahead: Uint8Array[] = [];
  #aheadIsRecorded = false;
  #compared = 0;
  #lengths = { recorded: 0, replayed: 0 };
  #difference: { offset: number; recorded: number; replayed: number } | undefined;

  /** The bytes are a view, which is valid during the call. */
  recorded(bytes: Uint8Array): void {
    this.#lengths.recorded += bytes.length;
    this.#add(bytes, true);
  }

  replayed(bytes: Uint8Array): void {
    this.#lengths.replayed += bytes.length;
    this.#add(bytes, false);
  }

  /** How many bytes each side had. */
  get lengths(): Readonly<{ recorded: number; replayed: number }> {
    return this.#lengths;
  }

  /** How many bytes of the recording the replay has not reached. */
  get recordedAhead(): number {
    return this.#difference ? 0 : Math.max(0, this.#lengths.recorded - this.#lengths.replayed);
  }

  /** The first byte that differs, with its position. */
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
    // After a difference there is nothing more to find out.
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
