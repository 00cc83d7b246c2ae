import type { FarlightMemoryState } from '../gen/operations.js';

/** The GPU memory of a session, in bytes: what it has, and what it could have beyond that. */
export interface MemoryState {
  /**
   * The most that all sessions of this tenant may have together now. It falls when other tenants leave less than that.
   * Undefined where nothing tells how much memory the GPU has, and the host's owner has set no limit.
   */
  limit: number | undefined;
  /** The memory that this session could have beyond its used and reserved memory. Undefined as above. */
  available: number | undefined;
  /** The part of `available` that the host would first ask back from the tenant's other sessions. */
  reclaimable: number;
  /** The buffers and textures of this session. */
  used: number;
  /** The most that was used since the session began, or since `resetPeak`. */
  peak: number;
  /** The memory that this session has reserved and does not use yet. */
  reserved: number;
  /** How many of the tenant's sessions wait for their turn to use the GPU. */
  queue: number;
}

/** A session's peak of GPU memory, and what it uses, in bytes. */
export interface MemoryPeak {
  peak: number;
  used: number;
}

/** The memory that all sessions of a tenant may have, as a host tells it to one of them. */
export interface TenantMemory {
  /** As in MemoryState. */
  limit: number | undefined;
  /** The memory that the tenant's other sessions use or have reserved. */
  others: number;
  reclaimable: number;
  queue: number;
}

/** The state as the wire has it. */
export function toWire({ limit, available, ...state }: MemoryState): FarlightMemoryState<never> {
  return { ...state, limit: limit ?? null, available: available ?? null };
}

export function fromWire({ limit, available, ...state }: FarlightMemoryState<never>): MemoryState {
  return { ...state, limit: limit ?? undefined, available: available ?? undefined };
}
