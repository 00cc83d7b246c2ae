import type { FarlightError } from '../../proto/errors.js';
import type { Hello, Welcome } from '../../proto/handshake.js';

export type { AdapterDescription, Hello, Welcome } from '../../proto/handshake.js';

/** What a link tells its session, by functions that need no `this`. None is called from inside `open` or `send`, and after `close` none but `onClose`. */
export interface LinkEvents {
  /** The host accepted the session. Comes once, before the first frame. */
  onWelcome(welcome: Welcome): void;
  /**
   * A frame of replies. The receiver owns the bytes from now on; where it returns true it needs them no more, and
   * their memory may serve again.
   */
  onFrame(frame: Uint8Array): unknown;
  /** The link takes bytes at full speed again after `send` returned false. */
  onDrain(): void;
  /** The host has taken frames of so many bytes; for who counts what is under way. Their memory may serve again. */
  onTaken?: ((bytes: number, frames: readonly Uint8Array[]) => void) | undefined;
  /** Compression kept so many bytes of a frame off the wire. */
  onSaved?(bytes: number, way: keyof Saved): void;
  /** The link is gone: comes once, and nothing after it. Undefined where `close` was called here. */
  onClose(reason: FarlightError | undefined): void;
}

/**
 * One session's connection to its executor: frames arrive whole, once, and in the order they were
 * sent, until the link closes.
 *
 * States: *opening* (frames are accepted and kept), *open* (after onWelcome), *closed* (after
 * onClose; `send` drops its frame). opening -> open -> closed, or opening -> closed.
 */
export interface Link {
  /**
   * Sends a frame, which the link owns from now on. Returns false where the sender should wait for
   * onDrain if it can; the frame is taken all the same.
   */
  send(frame: Uint8Array): boolean;
  /**
   * Blocks this thread until the link takes bytes at full speed again, or is gone. Absent where the link itself
   * needs the thread; onDrain comes all the same.
   */
  awaitRoom?(): void;
  /** The bytes of frames that compression kept off the wire so far. Absent where none is possible. */
  readonly saved?: Saved | undefined;
  /** The bytes that were sent and that the host has not taken. Absent where the link does not know. */
  readonly underWay?: number | undefined;
  /** Ends the session in good order: what was sent before is still delivered. */
  close(): void;
  /** Keeps the process alive for this link: somebody awaits the host. A link starts without. */
  ref(): void;
  /** Lets the process end although the link is open. */
  unref(): void;
}

/** Bytes that did not cross the network, to the host and from it. */
export interface Saved {
  up: number;
  down: number;
}

/** A way to reach a host. */
export interface Transport {
  /** The host's address as a person would write it. */
  readonly target: string;
  /** Opens a session's link. Returns at once; a failure arrives through `events.onClose`. */
  open(hello: Hello, events: LinkEvents): Link;
}
