import type { AdapterDescription, Silence, Welcome } from './handshake.js';
import type { LineCommand, LineReport } from './lines.js';
import type { Traffic, WorkCounts } from './session-counts.js';
import type { SessionEnd, SessionEnded } from './session-end.js';
import type { MemoryGrant, ShareCommand, ShareReport } from './shares.js';
import type { Span } from './spans.js';

/** A folder for contents, and the bytes that they may take. */
export interface BoundedFolder {
  path: string;
  maxBytes: number;
}

/** The limits of a session on the GPU. */
export interface SessionLimits {
  /** How long the session's submitted work may take on the GPU, in milliseconds; 0 for no limit. */
  gpuMs: number;
  /** The GPU memory that it may have before it must ask the daemon for more. */
  memory: MemoryGrant;
  /** Whether a buffer or texture counts until it is collected, and not only until the program has released it. */
  memoryUntilCollected: boolean;
  /** Whether the session must ask for its turn before it submits, because other tenants may use the GPU. */
  takesTurns: boolean;
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
  welcome?:
    | Omit<Welcome, 'adapter' | 'wgslLanguageFeatures' | 'activity' | 'memory' | 'sharedFile'>
    | undefined;
  /** Whether the session may be parked, and notes what it needs for that. */
  parks?: boolean | undefined;
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

/** Where an executor stores its session, and the key that seals it. Nobody else but the daemon has the key. */
export interface ParkedPlace {
  path: string;
  key: Uint8Array;
}

/** A place for a session that is to be parked. */
export interface ParkTarget extends ParkedPlace {
  /** The most bytes that the file may have. */
  mostBytes: number;
  /**
   * How long the client's frames may wait for the session to be at rest, in milliseconds. Absent if the first frame gives
   * the attempt up.
   */
  patienceMs?: number | undefined;
}

/** How far the two ends of a parked session's channel were. */
export interface ParkedChannel {
  /** How many of the client's frames were taken, and how many of the host's frames the client has acknowledged. */
  taken: number;
  acknowledged: number;
  /** The number of the client's newest attempt to resume. */
  attempt: number;
}

/** A program for which an executor compiles ahead. */
export interface CompileAhead {
  /** The program's name from its Hello. */
  program: string;
  /** The folder of its tenant's contents. */
  folder: BoundedFolder;
}

/**
 * A message from the process that started an executor, over Node's IPC channel. With `isConnected` a connection came just
 * before the command, as a message of its own: Node drops a message whose connection the executor has no descriptor for.
 * `head` has the bytes that were already read from the connection.
 */
export type ExecutorCommand = Command & { isConnected?: true };

/** The message that brings the connection of the next command. */
export type ConnectionMessage = { type: 'connection' };

type Command =
  /** Begins a session on the client's connection. Without `welcome` the pipe on descriptor 3 carries it. */
  | { type: 'begin'; session: SessionDescription; head: Uint8Array }
  /** Resumes the session on a new connection. The client has taken so many frames of replies. */
  | { type: 'resume'; taken: number; attempt: number; head: Uint8Array }
  /** Stores the session in a file. `parked` or `notParked` is the reply. */
  | ({ type: 'park' } & ParkTarget)
  /**
   * Brings a parked session back, on a connection whose client has been told that the session is resumed. `unparked` is
   * the reply; where the session cannot come back it ends. Without a connection its client comes later, and resumes.
   */
  | {
      type: 'unpark';
      session: SessionDescription;
      place: ParkedPlace;
      channel: ParkedChannel;
      head: Uint8Array;
    }
  /** Ends the session, and tells the client the reason. */
  | ({ type: 'end' } & SessionEnd)
  /** Starts or stops the reports of `spans`. */
  | { type: 'watch'; on: boolean }
  /** Compiles ahead for a program, before any session. `compiledAhead` is the reply. */
  | ({ type: 'compileAhead' } & CompileAhead)
  /** Asks for `alive`. */
  | { type: 'ping' }
  | ShareCommand
  | LineCommand;

/**
 * A message from an executor to the process that started it. The first one is `ready` or `failed`. `exiting` comes at
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
  /**
   * The oldest connection that was not confirmed yet has arrived, or with `isLost` it never will. With `end` the session
   * cannot begin, and its client gets this reason.
   */
  | { type: 'taken'; isLost?: true; end?: SessionEnd }
  /** The session has ended, and is cleared up. */
  | ({ type: 'sessionEnded' } & SessionEnded)
  /** The next session of the program may begin. */
  | { type: 'idle' }
  /** Everything is compiled for the program's first session, which may have begun, or even ended, before this. */
  | { type: 'compiledAhead' }
  | { type: 'alive' }
  | { type: 'exiting'; code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST'; message: string }
  | SessionReport;

/** The reports of an executor on its session, while the session goes on. */
export type SessionReport =
  /** The session's traffic since the last report, and its work since it began. */
  | ({ type: 'traffic'; work?: WorkCounts | undefined } & Traffic)
  /** New spans, while somebody watches. `left` more were left out because there were too many. */
  | { type: 'spans'; spans: Span[]; left: number }
  /** The session is stored, and this process does nothing more for it. */
  | { type: 'parked'; bytes: number; channel: ParkedChannel }
  /** The session stays here. With `isAtWork` it had something to do. With `wasRead` its contents were read in vain. */
  | { type: 'notParked'; reason: string; isAtWork: boolean; wasRead: boolean }
  /** The parked session's file is not needed any more: the session is back, or it ends because it cannot come back. */
  | { type: 'unparked'; isBack: boolean }
  | ShareReport
  | LineReport;
