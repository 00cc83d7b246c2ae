/**
 * What one peer accepts from the other. Every length, count and handle that is read from the wire is
 * held against one of these before anything is allocated or indexed by it.
 */
export const LIMITS = {
  /** Bytes in one frame. A larger batch is cut into several frames. */
  frameBytes: 1 << 20,
  /** Bytes of frames that one peer sends before the other has taken them. */
  windowBytes: 16 << 20,
  /** The same before the host has said how many, and the least that it may say: a frame. */
  leastWindowBytes: 1 << 20,
  /** Bytes in one batch of commands or replies, over all of its frames. */
  batchBytes: 2 ** 31,
  /** Bytes in one upload or download; with what goes beside them they fit a batch. */
  transferBytes: 2 ** 31 - (1 << 20),
  /** Bytes that one request for what the program will read next may bring. They fit a frame. */
  aheadBytes: 256 << 10,
  /** Bytes in one string, after UTF-8 encoding. */
  stringBytes: 64 << 20,
  /** Elements in one sequence or record. */
  elements: 1 << 20,
  /** Objects alive in one session. */
  objects: 1 << 22,
  /** Commands in one batch: a run of templates names many with one number. */
  batchCommands: 1 << 20,
  /** Handles, and payloads, of one command. */
  operands: 1 << 16,
  /** Templates that a session has at a time, and the bytes that they keep. */
  templates: 1 << 16,
  templateBytes: 16 << 20,
  /** Objects for which templates expect others: a client gives all templates up long before it has so many. */
  renames: 1 << 20,
  /**
   * Bytes that commands may take on the host while a content is missing that an earlier one needs: a whole
   * batch that had begun when the host asked, what was under way before it, and the contents that are missing.
   */
  heldBytes: 2 ** 31 + (512 << 20),
} as const;

/** Long frames that are under way to the peer at most: so many have memory kept for them, and slots in a shared file. */
export const WINDOW_FRAMES: number = LIMITS.windowBytes / LIMITS.frameBytes;

/**
 * The longest upload or download that travels as one command or reply, in bytes; a longer one goes in parts of
 * at most that. A part and the little that goes beside it fit one frame, so that neither side has to put it
 * together, and so that it is used while the next one is under way. A multiple of 8, as every mapped range begins
 * at one.
 */
export const PART_BYTES: number = LIMITS.frameBytes - 4096;
