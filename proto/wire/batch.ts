import { ProtocolError } from '../errors.js';
import { LIMITS } from './limits.js';

/**
 * A batch is a run of commands or of replies that is executed as one. It travels as one frame, or as
 * several where it is larger than a frame may be:
 *
 *     whole         0, bytes
 *     first part    1, total length as u64 little-endian, bytes
 *     further part  2, bytes
 */
const WHOLE = 0;
const FIRST = 1;
const FURTHER = 2;
const FIRST_HEADER = 9;

/** Bytes that a batch's writer leaves free at its start, so that a small batch is framed in place. */
export const BATCH_HEADROOM = 1;

/** The frames of a batch whose first BATCH_HEADROOM bytes are free. */
export function* cutBatch(batch: Uint8Array, frameBytes: number = LIMITS.frameBytes): Generator<Uint8Array> {
  if (batch.length <= frameBytes) {
    batch[0] = WHOLE;
    yield batch;
    return;
  }
  const total = batch.length - BATCH_HEADROOM;
  let offset = BATCH_HEADROOM;
  while (offset < batch.length) {
    const header = offset === BATCH_HEADROOM ? FIRST_HEADER : 1;
    const part = batch.subarray(offset, offset + frameBytes - header);
    const frame = new Uint8Array(header + part.length);
    frame[0] = header === 1 ? FURTHER : FIRST;
    if (header !== 1) new DataView(frame.buffer).setBigUint64(1, BigInt(total), true);
    frame.set(part, header);
    offset += part.length;
    yield frame;
  }
}

/** Puts batches together again from their frames. Memory is bounded by `batchBytes`. */
export class BatchAssembler {
  readonly #batchBytes: number;
  #partial: Uint8Array | undefined;
  #filled = 0;

  constructor(batchBytes: number = LIMITS.batchBytes) {
    this.#batchBytes = batchBytes;
  }

  /**
   * Takes the next frame; returns the batch that it completes, without headroom, if it completes one.
   * Throws ProtocolError on a frame that cannot come next.
   */
  push(frame: Uint8Array): Uint8Array | undefined {
    const kind = frame[0];
    if (kind === WHOLE && this.#partial === undefined) return frame.subarray(1);
    if (kind === FIRST && this.#partial === undefined) {
      if (frame.length < FIRST_HEADER)
        throw new ProtocolError('A batch begins with a frame that has no length');
      const total = Number(new DataView(frame.buffer, frame.byteOffset).getBigUint64(1, true));
      if (total > this.#batchBytes) {
        throw new ProtocolError(`A batch of ${total} bytes is over the limit of ${this.#batchBytes}`);
      }
      this.#partial = new Uint8Array(total);
      this.#filled = 0;
      return this.#append(this.#partial, frame.subarray(FIRST_HEADER));
    }
    if (kind === FURTHER && this.#partial !== undefined)
      return this.#append(this.#partial, frame.subarray(1));
    throw new ProtocolError(`A frame of kind ${kind} came where it is not allowed`);
  }

  #append(partial: Uint8Array, bytes: Uint8Array): Uint8Array | undefined {
    if (bytes.length === 0 || bytes.length > partial.length - this.#filled) {
      throw new ProtocolError('The parts of a batch do not add up to its length');
    }
    partial.set(bytes, this.#filled);
    this.#filled += bytes.length;
    if (this.#filled < partial.length) return undefined;
    this.#partial = undefined;
    return partial;
  }
}
