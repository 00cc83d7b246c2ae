import { LIMITS } from '../../proto/wire/limits.js';

/**
 * The longest upload that travels as one command, in bytes; a longer one goes in parts of at most that. A part
 * and the little that goes beside it fit one frame, so that neither side has to put it together, and so that
 * its host carries it out while the next one is under way. A multiple of 8, as every mapped range begins at one.
 */
export const PART_BYTES: number = LIMITS.frameBytes - 4096;

/** What a part is a part of. One object stands for all the parts of one call. */
export interface Whole {
  /** Bytes of all parts. */
  readonly length: number;
  /** Whether the parts are worth names: decided with the first one. */
  worthNaming?: boolean;
}

/** Cuts bytes into parts, with their offsets. The parts are views. */
export function partsOf(bytes: Uint8Array): { offset: number; data: Uint8Array }[] {
  const parts: { offset: number; data: Uint8Array }[] = [];
  for (let offset = 0; offset < bytes.length; offset += PART_BYTES) {
    parts.push({ offset, data: bytes.subarray(offset, offset + PART_BYTES) });
  }
  return parts;
}
