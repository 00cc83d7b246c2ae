import type { FarlightErrorCode } from '../errors.js';
import type { Span } from './activity.js';
import type { Compression, CompressionRequest } from './compression.js';
import type { ShareCommand, ShareReport } from './shares.js';
import type { Work } from './work.js';

/** The client's first packet, which opens a session. */
export interface Hello {
  protocolMin: number;
  protocolMax: number;
  version: string;
  program: string;
  /** The token of the client's tenant. The transport adds it, on a verified TLS connection only. */
  token?: string | undefined;
  /** Absent if the client wants no compression. */
  compression?: CompressionRequest | undefined;
  /**
   * Random text, the same in each Hello of one program. A connection may break before Welcome arrives. Then the client
   * sends another Hello, and by this key the host replaces the session that it began for the earlier one.
   */
  key?: string | undefined;
}

/** The host's adapter, in words. */
export interface AdapterDescription {
  name: string;
  vendor: string;
  architecture: string;
  software: boolean;
  driver: string;
}

/** The client's first packet on a new connection, which resumes a session. */
export interface Resume {
  sessionId: string;
  /** How many of the host's frames the client has taken. */
  taken: number;
  /**
   * The number of this attempt to resume, from 1. A tunnel may deliver an older attempt late: by this number the host
   * knows that it must not replace a newer one.
   */
  attempt: number;
  /** As in Hello. */
  token?: string | undefined;
}

/** When a silent peer counts as gone: after `deadMs`. Until then it gets a ping every `pingMs`. */
export interface Silence {
  pingMs: number;
  deadMs: number;
}

/** The host's reply to Hello, which accepts the session. */
export interface Welcome {
  protocol: number;
  version: string;
  /** The secret name of the session. With it the client can resume the session. */
  sessionId: string;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  /** Absent if the host keeps no contents. Then the client names none. */
  contents?: KeptContents | undefined;
  /** Absent if frames are not compressed. */
  compression?: Compression | undefined;
  /** Bytes of frames that the client may have under way. Default `LIMITS.windowBytes`. */
  windowBytes?: number | undefined;
  /** Whether the host can report spans of its work (FarlightActivity). Absent on hosts without that feature. */
  activity?: boolean | undefined;
  /** Whether the host accepts a `SharedFileOffer`. */
  sharedFile?: boolean | undefined;
}

/**
 * The client offers a file for long frames to a host on its own machine. The offer also says that the program's own
 * thread has the connection. So the connection may be silent while the program computes.
 */
export interface SharedFileOffer {
  /** The file's name in /dev/shm; empty if no file could be made. */
  name: string;
}

/** Why a host ends a session. */
export interface SessionEnd {
  code: SessionEndCode;
  /** One sentence for a person. */
  message: string;
}

/** The contents that a host keeps from earlier sessions. */
export interface KeptContents {
  /** An encoded ContentFilter. */
  filter: Uint8Array;
  /** Bytes of the largest content that the host keeps. */
  largestBytes: number;
}

/** The host's reply to `Describe`. `adapter` is absent if no GPU can be opened; then `adapterProblem` says why. */
export interface HostDescription {
  protocolMin: number;
  protocolMax: number;
  version: string;
  adapter: AdapterDescription | undefined;
  adapterProblem: string;
  sessions: number;
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

/** A folder for contents, and the bytes that they may take. */
export interface BoundedFolder {
  path: string;
  maxBytes: number;
}

/** The limits of a session on the GPU. */
export interface SessionLimits {
  /** How long the session's submitted work may take on the GPU, in milliseconds; 0 for no limit. */
  gpuMs: number;
  /** Whether the session must ask the daemon for GPU memory before it creates buffers and textures. */
  asksForMemory: boolean;
  /** Whether the session must ask for its turn before it submits, because other tenants may use the GPU. */
  takesTurns: boolean;
}

/** Why a session has ended: the reason that the client received, or what the client did (`CLOSED`). */
export interface SessionOver {
  code: SessionEndCode | 'CLOSED';
  message: string;
}

/** The description of a session that its executor gets when the session begins. */
export interface SessionDescription {
  /** The program's name from its Hello. */
  program: string;
  /** The folder of the tenant's contents, the same for all sessions of a process. Absent if none are kept. */
  folder?: BoundedFolder | undefined;
  /** Absent if the session has no limits. */
  limits?: SessionLimits | undefined;
  /** Welcome without the members that the executor adds. Absent if the executor's parent is the client. */
  welcome?: Omit<Welcome, 'adapter' | 'wgslLanguageFeatures' | 'activity' | 'sharedFile'> | undefined;
  /** When a silent client counts as gone. Absent if the executor decides. */
  silence?: Silence | undefined;
  /**
   * Whether the daemon carries the session's connections over a bridge. Then only its silence shows that a client is
   * gone. The other connections come from processes of this machine, and the system reports their end.
   */
  bridged?: boolean | undefined;
  /** Bytes of replies that may wait for the client; with more, the executor pauses. Absent for the default. */
  replyBytes?: number | undefined;
}

/** A program for which an executor compiles ahead. */
export interface CompileAhead {
  /** The program's name from its Hello. */
  program: string;
  /** The folder of its tenant's contents. */
  folder: BoundedFolder;
}

/** Counts of frames and their bytes, both ways. */
export interface Traffic {
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  bytesDown: number;
}

/**
 * A message from the process that started an executor, over Node's IPC channel. `begin` and `resume` may bring the
 * client's connection; `head` has the bytes that were already read from it.
 */
export type ExecutorCommand =
  /** Begins a session. Without a connection the pipe on descriptor 3 carries it. */
  | { type: 'begin'; session: SessionDescription; head: Uint8Array }
  /** Resumes the session on a new connection. The client has taken so many frames of replies. */
  | { type: 'resume'; taken: number; attempt: number; head: Uint8Array }
  /** Ends the session, and tells the client the reason. */
  | ({ type: 'end' } & SessionEnd)
  /** Starts or stops the reports of `spans`. */
  | { type: 'watch'; on: boolean }
  /** Compiles ahead for a program, before any session. `compiledAhead` is the reply. */
  | ({ type: 'compileAhead' } & CompileAhead)
  /** Asks for `alive`. */
  | { type: 'ping' }
  | ShareCommand;

/**
 * A message from an executor to the process that started it. The first one is `ready` or `failed`. `ended` comes at
 * most once, as the last. Frames never travel here.
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
  /** The oldest connection that came with `begin` or `resume`, and was not confirmed yet, has arrived. */
  | { type: 'taken' }
  /** The session's traffic since the last report, and its work since it began. */
  | ({ type: 'traffic'; work?: Work | undefined } & Traffic)
  /** New spans, while somebody watches. `left` more were left out because there were too many. */
  | { type: 'spans'; spans: Span[]; left: number }
  /** The session has ended, and is cleared up. */
  | ({ type: 'over' } & SessionOver)
  /** The next session of the program may begin. */
  | { type: 'idle' }
  /** Everything is compiled for the program's first session, which may have begun, or even ended, before this. */
  | { type: 'compiledAhead' }
  | { type: 'alive' }
  | ShareReport
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
