import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { ProtocolError } from '../../proto/errors.js';
import { LIMITS } from '../../proto/wire/limits.js';

/** In front of the packed bytes: the frame's own length, as a little-endian 32-bit number. */
const LENGTH_BYTES = 4;
/** The first quality is several times as fast as deflate's, and packs as well. */
const QUALITY = 1;
/** Output is gathered in pieces of so many bytes at most. */
const PIECE_BYTES = 64 << 10;

/** The body of a `packed` packet for a frame. Blocks this thread while it packs. */
export function packFrame(frame: Uint8Array): Uint8Array {
  const packed = brotliCompressSync(frame, {
    chunkSize: PIECE_BYTES,
    params: {
      [constants.BROTLI_PARAM_QUALITY]: QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: frame.length,
    },
  });
  const body = new Uint8Array(LENGTH_BYTES + packed.length);
  new DataView(body.buffer).setUint32(0, frame.length, true);
  body.set(packed, LENGTH_BYTES);
  return body;
}

/**
 * The frame in the body of a `packed` packet. Nothing beyond the length that it announces is allocated.
 *
 * @throws ProtocolError where there is none, or it is empty, longer than a frame may be, or not as long as announced.
 */
export function unpackFrame(body: Uint8Array): Uint8Array {
  if (body.length <= LENGTH_BYTES) throw new ProtocolError('a packed frame is cut off');
  const length = new DataView(body.buffer, body.byteOffset).getUint32(0, true);
  if (length === 0 || length > LIMITS.frameBytes) {
    throw new ProtocolError(`a packed frame announces ${length} bytes of at most ${LIMITS.frameBytes}`);
  }
  let unpacked: Unpacked;
  try {
    // A piece as long as the frame: it is the frame's own memory then.
    const options = { maxOutputLength: length, chunkSize: Math.max(length, LEAST_PIECE_BYTES), info: true };
    unpacked = brotliDecompressSync(body.subarray(LENGTH_BYTES), options) as unknown as Unpacked;
  } catch (cause) {
    throw new ProtocolError('a packed frame cannot be unpacked', { cause });
  }
  const { buffer, engine } = unpacked;
  if (buffer.length !== length || engine.bytesWritten !== body.length - LENGTH_BYTES) {
    throw new ProtocolError('a packed frame is not as long as it announces');
  }
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/** The result of zlib's synchronous functions with `info`, which the types of Node leave out. */
interface Unpacked {
  buffer: Buffer;
  /** `bytesWritten` counts the bytes that were read of the input. */
  engine: { bytesWritten: number };
}

/** zlib takes no shorter one. */
const LEAST_PIECE_BYTES = 64;
