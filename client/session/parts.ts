import { PART_BYTES } from '../../proto/wire/limits.js';

/** The long upload of one call. All its parts share this object. */
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
