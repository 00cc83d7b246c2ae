import { ProtocolError } from '../errors.js';

/**
 * The longest frame that a pipe between two processes of one machine carries, in bytes. Nothing is
 * allocated for a frame beyond what has arrived of it.
 */
export const PIPE_FRAME_LIMIT = 64 * 1024 * 1024;

/** The bytes in front of each frame on a pipe: its length as a little-endian 32-bit number. */
export const FRAME_HEADER_BYTES = 4;

/** What each byte of a header counts for. */
const HEADER_SCALES = [1, 2 ** 8, 2 ** 16, 2 ** 24];

/**
 * The header for a frame of `length` bytes, to be written in front of it.
 *
 * @throws RangeError where the frame is longer than a pipe carries.
 */
export function frameHeader(length: number): Uint8Array {
  if (length > PIPE_FRAME_LIMIT) {
    throw new RangeError(`a frame of ${length} bytes is longer than the limit of ${PIPE_FRAME_LIMIT}`);
  }
  const header = new Uint8Array(FRAME_HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, length, true);
  return header;
}

/**
 * Cuts a stream of bytes into the frames it carries, in whatever pieces the bytes come.
 *
 * A frame that lies whole in one piece is handed on as a view of it, so the caller gives up each
 * piece that it pushes; a frame that came in several is put together in memory of its own.
 */
export class FrameDecoder {
  readonly #limit: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  /** What has arrived of the next header, as a number, and how many of its bytes. */
  #header = 0;
  #headerBytes = 0;
  /** What has arrived of the frame after a whole header. */
  #parts: Uint8Array[] = [];
  #missing = 0;

  constructor(onFrame: (frame: Uint8Array) => void, limit: number = PIPE_FRAME_LIMIT) {
    this.#onFrame = onFrame;
    this.#limit = limit;
  }

  /** True between frames: the stream may end here without cutting one off. */
  get atBoundary(): boolean {
    return this.#headerBytes === 0;
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
    while (at < bytes.length || (this.#headerBytes === FRAME_HEADER_BYTES && this.#missing === 0)) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        this.#header += (bytes[at++] ?? 0) * (HEADER_SCALES[this.#headerBytes] as number);
        if (++this.#headerBytes === FRAME_HEADER_BYTES) this.#begin();
        continue;
      }
      const end = Math.min(at + this.#missing, bytes.length);
      const part = bytes.subarray(at, end);
      at = end;
      this.#missing -= part.length;
      if (this.#missing === 0) this.#finish(part);
      else this.#parts.push(part);
    }
  }

  #begin(): void {
    if (this.#header > this.#limit) {
      throw new ProtocolError(`a frame of ${this.#header} bytes is longer than the limit of ${this.#limit}`);
    }
    this.#missing = this.#header;
  }

  #finish(last: Uint8Array): void {
    const parts = this.#parts;
    const length = this.#header;
    // Reset first: the frame's receiver may throw, and the next frame starts afresh all the same.
    this.#header = 0;
    this.#headerBytes = 0;
    if (parts.length === 0) {
      this.#onFrame(last);
      return;
    }
    this.#parts = [];
    parts.push(last);
    this.#onFrame(join(parts, length));
  }
}

function join(parts: Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
