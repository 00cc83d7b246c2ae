import type { ShareCommand, ShareReport } from '../../../proto/shares.js';
import type { Work } from '../../../proto/work.js';

/**
 * One session as the process that carries it sees it: frames of commands go in, frames of replies
 * come out. Neither side of it knows gRPC, processes, or each other.
 */
export interface SessionEndpoint<Inheritance = unknown> {
  /** What it has done so far; absent where nobody counts. */
  readonly work?: Work;
  /**
   * Executes a frame of commands. A frame that breaks the protocol ends the session through `end`. Returns true where
   * nothing of the frame is needed any more, so that its memory may serve again.
   */
  receive(frame: Uint8Array): unknown;
  /** The peer takes frames again after `send` returned false. */
  drained?(): void;
  /** The host answers `ask`, or wants something back. */
  share?(command: ShareCommand): void;
  /** The peer is gone: destroys the session's devices. Nothing is sent afterwards. */
  close(): void;
  /**
   * The peer is gone, and another session of the same program may follow in this process: gives what that
   * one may have. Resolves when nothing of this session is under way. Nothing is sent afterwards.
   */
  retire?(): Promise<Inheritance>;
}

export interface SessionPeer {
  /**
   * Takes a frame of replies, whose bytes it owns from now on. Returns false where those that come next should
   * wait until `drained` is called.
   */
  send(frame: Uint8Array): unknown;
  /** The session cannot go on; `reason` is one sentence for a person. Called once at most. */
  end(code: 'PROTOCOL_ERROR' | 'EXECUTOR_LOST', reason: string): void;
  /** While it is held, the session is given no commands: the GPU has enough to do. */
  hold?(held: boolean): void;
  /** Asks the host for something that the session shares with others; `share` answers. Absent where there is no host. */
  ask?(report: ShareReport): void;
}
