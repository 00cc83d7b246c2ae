/** Counts the memory that bytes keep from being freed: the whole of each buffer that some of them lie in, once. */
export class PinnedMemory {
  /** How many of the bytes lie in each buffer. */
  readonly #buffers = new Map<ArrayBufferLike, number>();
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add({ buffer }: Uint8Array): void {
    const there = this.#buffers.get(buffer) ?? 0;
    if (there === 0) this.#bytes += buffer.byteLength;
    this.#buffers.set(buffer, there + 1);
  }

  /** Takes back one `add` of bytes in the same buffer. */
  remove({ buffer }: Uint8Array): void {
    const left = (this.#buffers.get(buffer) ?? 0) - 1;
    if (left > 0) {
      this.#buffers.set(buffer, left);
    } else if (this.#buffers.delete(buffer)) {
      this.#bytes -= buffer.byteLength;
    }
  }
}
