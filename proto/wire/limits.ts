/**
 * The limits of a peer's frames. Every length, count and handle from the wire is compared with one of these, before
 * memory is allocated for it or an array is indexed by it.
 */
export const LIMITS = {
  /** Bytes in one frame. A larger flush is cut into several frames. */
  frameBytes: 1 << 20,
  /** Bytes of frames that a peer may have under way, which the other has not taken yet. */
  windowBytes: 16 << 20,
  /** The smallest window, one frame. It also holds until the host has stated its window. */
  leastWindowBytes: 1 << 20,
  /** Bytes in one flush of commands or replies, over all of its frames. */
  flushBytes: 2 ** 31,
  /** Bytes in one upload or download. With their headers they fit a flush. */
  transferBytes: 2 ** 31 - (1 << 20),
  /** Bytes that one read ahead may bring. They fit a frame. */
  aheadBytes: 256 << 10,
  /** Bytes in one string, after UTF-8 encoding. */
  stringBytes: 64 << 20,
  /** Elements in one sequence or record. */
  elements: 1 << 20,
  /** Objects alive in one session. */
  objects: 1 << 22,
  /** Commands in one flush. One number can stand for a long run of templates. */
  flushCommands: 1 << 20,
  /** Handles, and payloads, of one command. */
  operands: 1 << 16,
  /** Templates that a session has at a time, and the bytes that they keep. */
  templates: 1 << 16,
  templateBytes: 16 << 20,
  /** Objects that templates expect under another name. A client drops all templates long before this limit. */
  renames: 1 << 20,
  /**
   * Bytes of commands that the host holds while an earlier command misses a content. They have room for the flush that
   * had begun when the host asked, the flushes before it, and the missing contents.
   */
  heldBytes: 2 ** 31 + (512 << 20),
} as const;

/** The most long frames under way to the peer. Memory is kept for so many, and a shared file has slots for so many. */
export const WINDOW_FRAMES: number = LIMITS.windowBytes / LIMITS.frameBytes;

/**
 * Bytes of the longest upload or download in one command or reply. A longer one travels in parts of this length. A part
 * and its header fit one frame. So neither side joins frames, and the host uses a part while the next one is under way.
 * This is a multiple of 8, because every mapped range begins at a multiple of 8.
 */
export const PART_BYTES: number = LIMITS.frameBytes - 4096;
