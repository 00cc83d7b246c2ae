import type { FarlightErrorCode } from '../errors.js';

/** Why a host ends a session. */
export interface SessionEnd {
  code: SessionEndCode;
  /** One sentence for a person. */
  message: string;
}

/**
 * The reasons for which a host ends a session. A new one is also a code in `proto/errors.ts`, and has a line in
 * `proto/farlight.proto` and in docs/operations.md.
 */
export const SESSION_END_CODES = [
  'VERSION_MISMATCH',
  'NO_ADAPTER',
  'PROTOCOL_ERROR',
  'EXECUTOR_LOST',
  'DISCONNECTED',
  'SHUTTING_DOWN',
  'BUSY',
  'UNAUTHORIZED',
] as const satisfies readonly FarlightErrorCode[];

export type SessionEndCode = (typeof SESSION_END_CODES)[number];

/**
 * Why a session has ended at a host: the reason that the client received, what the client did (`CLOSED`), or that another
 * host has the session (`MOVED`).
 */
export interface SessionEnded {
  code: SessionEndCode | 'CLOSED' | 'MOVED';
  message: string;
}
