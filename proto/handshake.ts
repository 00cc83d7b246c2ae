import type { FarlightErrorCode } from './errors.js';

/** What the client says of itself when a session opens. */
export interface Hello {
  protocolMin: number;
  protocolMax: number;
  version: string;
  program: string;
}

/** The adapter that a host works with, in words. */
export interface AdapterDescription {
  name: string;
  vendor: string;
  architecture: string;
  software: boolean;
  driver: string;
}

/** What the host says of itself when it accepts a session. */
export interface Welcome {
  protocol: number;
  version: string;
  sessionId: string;
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  /** Absent where the host keeps no contents: the client names none then. */
  contents?: KeptContents | null | undefined;
}

/** What a host keeps of what was uploaded in earlier sessions. */
export interface KeptContents {
  /** An encoded ContentFilter. */
  filter: Uint8Array;
  /** Bytes of the largest content that it keeps. */
  largestBytes: number;
}

/** What `Describe` answers. `adapter` is absent where no GPU can be opened; `adapterProblem` says why. */
export interface HostDescription {
  protocolMin: number;
  protocolMax: number;
  version: string;
  adapter: AdapterDescription | undefined;
  adapterProblem: string;
  sessions: number;
}

/** Why a host ends a session, as the number that `SessionEnd.code` carries in farlight.proto. */
export const SESSION_END = {
  UNSPECIFIED: 0,
  VERSION_MISMATCH: 1,
  NO_ADAPTER: 2,
  PROTOCOL_ERROR: 3,
  EXECUTOR_LOST: 4,
  SHUTTING_DOWN: 5,
  BUSY: 6,
} as const satisfies Partial<Record<FarlightErrorCode | 'UNSPECIFIED', number>>;

export type SessionEndCode = keyof typeof SESSION_END;

/** What an executor process is told of a session, in the frame that comes before the session's own. */
export interface SessionDescription {
  /** The program's name, as its Hello gave it. */
  program: string;
}

/**
 * What an executor process tells the process that started it, over Node's IPC channel: first `ready`
 * or `failed`, and later at most one `ended`. Frames never travel there.
 */
export type ExecutorReport =
  | {
      type: 'ready';
      adapter: AdapterDescription;
      wgslLanguageFeatures: string[];
      /** The --adapter value that opens the same adapter again without searching. */
      choice: string;
    }
  | { type: 'failed'; message: string }
  | { type: 'ended'; code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST'; message: string };

/** A side of the version negotiation: the protocols it speaks and the package it is. */
export interface VersionRange {
  protocolMin: number;
  protocolMax: number;
  version: string;
}

/** The sentence for two sides that share no protocol version. */
export function versionMismatch(client: VersionRange, host: VersionRange): string {
  const speaks = ({ protocolMin, protocolMax, version }: VersionRange) =>
    `protocol ${protocolMin === protocolMax ? protocolMin : `${protocolMin} to ${protocolMax}`} (farlight ${version})`;
  return (
    `the program speaks Farlight ${speaks(client)} but the host speaks ${speaks(host)}; ` +
    `install the same version of farlight on both`
  );
}
