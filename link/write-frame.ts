import type { Writable } from 'node:stream';
import { FRAME_HEADER_BYTES, frameHeader } from '../proto/wire/framing.js';

/** A frame that is shorter is written in one piece with its header. */
const JOINED_BYTES = 4096;

/**
 * Writes a frame behind its length; the pipe owns its bytes from now on. Returns false where the caller
 * should wait for the pipe's `drain`. A copy of a short frame is cheaper than a second write, which takes the
 * stream's slow path and the kernel's list of buffers.
 *
 * @throws RangeError where the frame is longer than a pipe carries.
 */
export function writeFrame(pipe: Writable, frame: Uint8Array): boolean {
  const { length } = frame;
  if (length < JOINED_BYTES) {
    const joined = Buffer.allocUnsafe(FRAME_HEADER_BYTES + length);
    joined.writeUInt32LE(length, 0);
    joined.set(frame, FRAME_HEADER_BYTES);
    return pipe.write(joined);
  }
  pipe.cork();
  pipe.write(frameHeader(length));
  const more = pipe.write(frame);
  pipe.uncork();
  return more;
}
