import type { TenantMemory } from './memory.js';

/** The GPU memory that a session may have, in bytes. */
export interface MemoryGrant {
  /** In all. */
  bytes: number;
  /** For all sessions of the tenant together. */
  limit: number;
  /** The part of `limit` that the tenant's other sessions may have now. */
  others: number;
}

/**
 * An executor's requests to the daemon for its session's share, where sessions share a tenant's limit or the GPU's time.
 * They travel on Node's IPC channel, beside the session.
 */
export type ShareReport =
  /** The session asks for so many bytes of GPU memory in all; the daemon replies with `memory`. */
  | { type: 'wantMemory'; bytes: number }
  /** The session has given back unused memory, and keeps so many bytes. The reply to `reclaim`. */
  | { type: 'keepMemory'; bytes: number }
  /** The session's client asks what its tenant may have; the daemon replies with `tenantMemory`. */
  | { type: 'readMemory' }
  /** The daemon is to tell of it also when it changes, or not any more. */
  | { type: 'watchMemory'; on: boolean }
  /** The session has work for the GPU, and waits for its turn. */
  | { type: 'wantTurn' }
  /** The session's turn has ended. The GPU worked for it for so many milliseconds of that turn. */
  | { type: 'endTurn'; ms: number };

/** The daemon's replies, and its own requests. */
export type ShareCommand =
  | ({ type: 'memory' } & MemoryGrant)
  | ({ type: 'tenantMemory' } & TenantMemory)
  /** Another session needs memory: give back unused memory. */
  | { type: 'reclaim' }
  /** The session may use the GPU for so many milliseconds; 0: until it must yield. */
  | { type: 'turn'; ms: number }
  /** The session's turn must end once its submitted work is done. */
  | { type: 'yield' };
