import type { Capacity } from '../schedule/types.js';

/** The memory of a host that its lanes may have, as this side knows it. */
export interface HostMemory {
  readonly capacity: Capacity;
  /** Calls back when the capacity has changed. The returned function stops that. */
  onChange(listener: () => void): () => void;
  /** The host's last report; undefined where nobody reports. */
  readonly told?: ToldMemory;
}

/** In bytes. */
export interface ToldMemory {
  /** The bytes that the lanes use, and the bytes that they have reserved beyond that. */
  readonly used: number;
  readonly reserved: number;
  /** The part of the limit that others use. */
  readonly others: number;
  /** How many lanes wait for their turn to use the GPU. */
  readonly queue: number;
}

/** Memory of a fixed size, as a person has stated it. */
export function fixedMemory(bytes: number): HostMemory {
  return { capacity: { bytes, limit: bytes }, onChange: () => () => {} };
}
