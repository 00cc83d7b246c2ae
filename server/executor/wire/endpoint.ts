import type { Socket } from 'node:net';
import type { ParkTarget } from '../../../proto/session/executor-messages.js';
import type { LineCommand, LineReport } from '../../../proto/session/lines.js';
import type { WorkCounts } from '../../../proto/session/session-counts.js';
import type { ShareCommand, ShareReport } from '../../../proto/session/shares.js';

/**
 * A session, as the process sees it: frames of commands go in, and frames of replies come out. Neither side of this
 * interface knows gRPC, processes, or the other side.
 */
export interface SessionEndpoint<Inheritance = unknown> {
  /** Counts of the session's work so far. Absent where nobody counts it. */
  readonly work?: WorkCounts;
  /**
   * Executes a frame of commands. A frame that breaks the protocol ends the session through `end`. Returns true where
   * the session keeps nothing of the frame, so that its memory can be used again.
   */
  receive(frame: Uint8Array): unknown;
  /** The peer takes frames again, after `send` returned false. */
  drained?(): void;
  /** The host replies to `ask`, or wants something back. */
  share?(command: ShareCommand): void;
  /** The host tells of a line. The socket, if there is one, carries it. */
  line?(command: LineCommand, socket: Socket | undefined): void;
  /**
   * Stores the session in a file, and goes on. It gets no frames meanwhile. Resolves to the file's bytes; rejects with
   * the reason, also when `isAtWork` becomes true.
   */
  park?(target: ParkTarget, isAtWork: () => boolean): Promise<number>;
  /** Brings the session back from a file, before its first frame. Rejects with the reason. */
  unpark?(path: string, key: Uint8Array): Promise<void>;
  /** The peer is gone: destroys the session's devices. Nothing is sent afterwards. */
  close(): void;
  /**
   * The peer is gone, and the next session of the same program may come: gives up what that session can have. Resolves
   * when no work of this session is under way. Nothing is sent afterwards.
   */
  handOver?(): Promise<Inheritance>;
}

/** Why a session cannot be parked now. */
export class Unparkable extends Error {
  /** Whether its contents were read in vain. */
  wasRead = false;
}

/** The session is at work, so that parking it now is of no use. */
export class AtWork extends Unparkable {
  constructor() {
    super('it is at work');
  }
}

export interface SessionPeer {
  /** Takes a frame of replies, and owns its bytes. Returns false where the next frames must wait for `drained`. */
  send(frame: Uint8Array): unknown;
  /** The session cannot go on. `reason` is one sentence for a person. Called at most once. */
  end(code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST', reason: string): void;
  /** Stops giving commands to the session, or goes on: the GPU has enough to do. */
  pause?(paused: boolean): void;
  /** Asks the host for a share of something, or for a line. `share` and `line` bring the reply. Absent without a host. */
  ask?(report: ShareReport | LineReport): void;
}
