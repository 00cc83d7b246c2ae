import { ProtocolError } from '../../proto/errors.js';
import { frameMemory, hasFrameMemory } from '../../proto/wire/memory.js';
import { LENGTH_BYTES } from '../../proto/wire/packet.js';

/** What each byte of a header counts for. */
const HEADER_SCALES = [1, 2 ** 8, 2 ** 16, 2 ** 24];

/** What is read at once where no long frame is on its way, in bytes. */
const SLAB_BYTES = 64 << 10;

/** Of how many missing bytes on a frame is read into its own memory, rather than copied there from a slab. */
const LONG_BYTES = 16 << 10;

/**
 * Cuts a stream of bytes into the frames it carries, in whatever pieces the bytes come.
 *
 * The pieces are the caller's, who gives up each that it pushes: a frame that lies whole in one is handed on as a
 * view of it. Or they are memory that `room` gave: then a long frame is read to where it stays. Each frame is its
 * receiver's. For one that has begun, memory of its whole length is taken.
 */
export class FrameDecoder {
  readonly #limit: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  /** What has arrived of the next header, as a number, and how many of its bytes. */
  #header = 0;
  #headerBytes = 0;
  /** The frame after a whole header, once some of it has arrived without the rest, and how much is missing. */
  #frame: Uint8Array | undefined;
  #missing = 0;
  /** What `room` gives between long frames, again and again. */
  #slab: Uint8Array | undefined;

  constructor(onFrame: (frame: Uint8Array) => void, limit: number) {
    this.#onFrame = onFrame;
    this.#limit = limit;
  }

  /** True between frames: the stream may end here without cutting one off. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0;
  }

  /** Memory for what is read next; as much of it as was read is to be pushed, before `room` is asked again. */
  room(): Uint8Array {
    if (this.#frame && this.#missing >= LONG_BYTES) return this.#rest(this.#frame);
    this.#slab ??= new Uint8Array(SLAB_BYTES);
    return this.#slab;
  }

  /**
   * Takes the next piece and hands on each frame that it completes.
   *
   * @throws ProtocolError where a header announces a frame longer than the limit; the decoder is of
   *   no use afterwards.
   */
  push(piece: Uint8Array): void {
    // Not as a Buffer, whose views take far longer to make.
    const bytes = new Uint8Array(piece.buffer, piece.byteOffset, piece.byteLength);
    let at = 0;
    while (at < bytes.length || (this.#headerBytes === LENGTH_BYTES && this.#missing === 0)) {
      if (this.#headerBytes < LENGTH_BYTES) {
        this.#header += (bytes[at++] ?? 0) * (HEADER_SCALES[this.#headerBytes] as number);
        if (++this.#headerBytes === LENGTH_BYTES) this.#begin();
        continue;
      }
      const end = Math.min(at + this.#missing, bytes.length);
      this.#take(bytes.subarray(at, end));
      at = end;
    }
  }

  #begin(): void {
    if (this.#header > this.#limit) {
      throw new ProtocolError(`a frame of ${this.#header} bytes is longer than the limit of ${this.#limit}`);
    }
    this.#missing = this.#header;
  }

  #take(part: Uint8Array): void {
    // Memory as long as a frame's own would serve again with all that lies in it, so no view of such memory is handed on.
    const isGiven = part.buffer !== this.#slab?.buffer && !hasFrameMemory(part);
    if (!this.#frame && isGiven && part.length === this.#missing) {
      this.#finish(part);
      return;
    }
    this.#frame ??= frameMemory(this.#header);
    // What was read to its place stays there.
    if (part.buffer !== this.#frame.buffer) this.#rest(this.#frame).set(part);
    this.#missing -= part.length;
    if (this.#missing === 0) this.#finish(this.#frame);
  }

  #rest(frame: Uint8Array): Uint8Array {
    return frame.subarray(frame.length - this.#missing);
  }

  #finish(frame: Uint8Array): void {
    // Reset first: the frame's receiver may throw, and the next frame starts afresh all the same.
    this.#header = 0;
    this.#headerBytes = 0;
    this.#frame = undefined;
    this.#missing = 0;
    this.#onFrame(frame);
  }
}
