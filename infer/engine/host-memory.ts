import type { Capacity } from '../schedule/types.js';

/** The memory of a host that the lanes there may have, as it is known on this side. */
export interface HostMemory {
  readonly capacity: Capacity;
  /** Calls back when the capacity is another. The returned function ends that. */
  onChange(listener: () => void): () => void;
}

/** So many bytes as somebody has said. */
export function fixedMemory(bytes: number): HostMemory {
  return { capacity: { bytes, limit: bytes }, onChange: () => () => {} };
}
