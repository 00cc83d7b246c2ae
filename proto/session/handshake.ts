import type { FarlightErrorCode } from '../errors.js';
import type { Span } from './activity.js';
import type { Compression, CompressionRequest } from './compression.js';
import type { ShareCommand, ShareReport } from './shares.js';
import type { Work } from './work.js';

/** What the client says of itself when a session opens. */
export interface Hello {
  protocolMin: number;
  protocolMax: number;
  version: string;
  program: string;
  /** What shows the host who the client is. The transport puts it in, on a verified TLS connection and nowhere else. */
  token?: string | undefined;
  /** Absent where frames are to travel as they are. */
  compression?: CompressionRequest | undefined;
  /**
   * Random text that nobody else has, the same in each Hello of one program: where a connection was lost before
   * Welcome came, the next Hello takes the place of what the host began for the one before.
   */
  key?: string | undefined;
}

/** The adapter that a host works with, in words. */
export interface AdapterDescription {
  name: string;
  vendor: string;
  architecture: string;
  software: boolean;
  driver: string;
}

/** What the client says when it goes on with a session on another connection. */
export interface Resume {
  sessionId: string;
  /** How many of the host's frames it has taken. */
  taken: number;
  /**
   * The number of this connection among those on which the client has tried to go on, from 1. What a tunnel held
   * back and delivers late is an older one, and is not to take the place of a newer.
   */
  attempt: number;
  /** As in Hello. */
  token?: string | undefined;
}

/** When a peer that says nothing is taken for gone: after `deadMs`, and it is asked every `pingMs`. */
export interface Silence {
  pingMs: number;
  deadMs: number;
}

/** What the host says of itself when it accepts a session. */
export interface Welcome {
  protocol: number;
  version: string;
  /** Names the session when its connection is lost; nobody else is to know it. */
  sessionId: string;
  /** How long a session outlives its connection, in milliseconds. */
  resumeMs: number;
  adapter: AdapterDescription;
  wgslLanguageFeatures: string[];
  /** Absent where the host keeps no contents: the client names none then. */
  contents?: KeptContents | undefined;
  /** Absent where frames travel as they are. */
  compression?: Compression | undefined;
  /** Bytes of frames that the client may have under way; LIMITS.windowBytes where absent. */
  windowBytes?: number | undefined;
  /** Whether the host tells what it does where it is asked (FarlightActivity). Absent where it does not know of that. */
  activity?: boolean | undefined;
  /** Whether the host takes a `SharedFileOffer`. */
  sharedFile?: boolean | undefined;
}

/**
 * A file that the client has made for long frames, for a host on its own machine. An offer says too that the program's
 * own thread has the connection, and that it may be silent for as long as the program computes.
 */
export interface SharedFileOffer {
  /** Its name among the shared memory's files; empty where none could be made. */
  name: string;
}

/** Why a host ends a session. */
export interface SessionEnd {
  code: SessionEndCode;
  /** One sentence for a person. */
  message: string;
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

/** The reasons for which a host ends a session. */
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

/** Where an executor keeps contents, and what they may take, in bytes. */
export interface BoundedFolder {
  path: string;
  maxBytes: number;
}

/** What a session may take of the GPU. */
export interface SessionLimits {
  /** How long the GPU may take for what the session submitted, in milliseconds; 0: as long as it likes. */
  gpuMs: number;
  /** Whether it has to ask for GPU memory before its buffers and textures take it. */
  asksForMemory: boolean;
  /** Whether it has to ask for its turn before it submits: other tenants may use the GPU. */
  takesTurns: boolean;
}

/** Why a session is over: what its client was told, or, where it is the client's doing, what that did. */
export interface SessionOver {
  code: SessionEndCode | 'CLOSED';
  message: string;
}

/** What an executor process is told of a session when it begins. */
export interface SessionDescription {
  /** The program's name, as its Hello gave it. */
  program: string;
  /** Where its tenant's contents are, the same for all sessions of a process. Absent where none are kept. */
  folder?: BoundedFolder | undefined;
  /** Absent where there are none. */
  limits?: SessionLimits | undefined;
  /** What the client is told, but for what the executor knows itself. Absent where the parent is the client. */
  welcome?: Omit<Welcome, 'adapter' | 'wgslLanguageFeatures' | 'activity' | 'sharedFile'> | undefined;
  /** When the client is taken for gone; absent where the executor decides. */
  silence?: Silence | undefined;
  /**
   * Whether the daemon carries its connections: then nothing says that the client is gone but its silence. Of others,
   * which are to a process of this machine, the system says it.
   */
  bridged?: boolean | undefined;
  /** Bytes of replies that may wait for the client before no more commands are executed; absent: the usual. */
  replyBytes?: number | undefined;
}

/** Whose next session an executor process is to be ready for. */
export interface CompileAhead {
  /** The program's name, as its Hello gave it. */
  program: string;
  /** Where its tenant's contents are. */
  folder: BoundedFolder;
}

/** Frames and their bytes, both ways. */
export interface Traffic {
  framesUp: number;
  framesDown: number;
  bytesUp: number;
  bytesDown: number;
}

/**
 * What an executor process is told by the process that started it, over Node's IPC channel. With `begin` and
 * `resume` may come the client's connection, and what was read of it already.
 */
export type ExecutorCommand =
  /** Without a connection the session is carried by the pipe on descriptor 3. */
  | { type: 'begin'; session: SessionDescription; head: Uint8Array }
  /** The client has taken so many frames of replies. */
  | { type: 'resume'; taken: number; attempt: number; head: Uint8Array }
  /** The session is over, for a reason that the client is told. */
  | ({ type: 'end' } & SessionEnd)
  /** Whether what it does is to be told, as `spans`. */
  | { type: 'watch'; on: boolean }
  /** Before any session: what the program needed the last time is to be there, see `compiledAhead`. */
  | ({ type: 'compileAhead' } & CompileAhead)
  /** To be answered with `alive`. */
  | { type: 'ping' }
  | ShareCommand;

/**
 * What an executor process tells the process that started it: first `ready` or `failed`, and later at most one
 * `ended`, which is the last. Frames never travel there.
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
  /** The connection of the oldest `begin` or `resume` that brought one and was not answered so yet has arrived. */
  | { type: 'taken' }
  /** What the session has carried since the last report, and what it has done since it began. */
  | ({ type: 'traffic'; work?: Work | undefined } & Traffic)
  /** What it did, while that is watched; `left` more spans were left out because there were too many. */
  | { type: 'spans'; spans: Span[]; left: number }
  /** The session is over: what was left of it is tidied up. */
  | ({ type: 'over' } & SessionOver)
  /** Another session of the program may begin. */
  | { type: 'idle' }
  /** All is there for the first session of the program, which may have begun before that, or even be over. */
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
