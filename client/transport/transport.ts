import type { FarlightError } from '../../proto/errors.js';
import type { Hello, Welcome } from '../../proto/session/handshake.js';

export type { AdapterDescription, Hello, Welcome } from '../../proto/session/handshake.js';

/** A link's events. The functions need no `this`. No event comes during `open` or `send`; after `close` only `onClose`. */
export interface LinkEvents {
  /** The host accepted the session. Called once, before the first frame. */
  onWelcome(welcome: Welcome): void;
  /**
   * A frame of replies. The receiver owns its bytes. If it returns true, it no longer needs them, and their memory may be
   * used again.
   */
  onFrame(frame: Uint8Array): unknown;
  /** The link takes bytes at full speed again after `send` returned false. */
  onDrain(): void;
  /** The host has acknowledged this many bytes of frames. The memory of the given frames may be used again. */
  onTaken?: ((bytes: number, frames: readonly Uint8Array[]) => void) | undefined;
  /** Compression saved this many bytes of a frame. */
  onSaved?(bytes: number, way: keyof Saved): void;
  /** The link is gone. Called once, last. Without a reason if `close` was called here. */
  onClose(reason: FarlightError | undefined): void;
}

/**
 * One session's way to its executor. Frames arrive whole, once and in order, until the link closes.
 *
 * States: *opening* (frames are accepted and kept), *open* (after onWelcome), *closed* (after
 * onClose; `send` drops its frame). opening -> open -> closed, or opening -> closed.
 */
export interface Link {
  /**
   * Sends a frame, which the link owns from now on. Returns false if the sender should wait for `onDrain`; the frame is
   * taken in any case.
   */
  send(frame: Uint8Array): boolean;
  /**
   * Blocks this thread until the link takes bytes at full speed again, or is gone. `onDrain` is called in any case. Absent
   * if the link itself needs the thread.
   */
  readonly awaitRoom?: (() => void) | undefined;
  /** The bytes that compression has saved so far. Absent if the link never compresses. */
  readonly saved?: Saved | undefined;
  /** The bytes that were sent and that the host has not acknowledged. Absent if the link does not know. */
  readonly underWay?: number | undefined;
  /** Ends the session in good order: frames that were sent before are still delivered. */
  close(): void;
  /** Keeps the process alive while the host is awaited. At first a link does not. */
  ref(): void;
  /** Lets the process end while the link is open. */
  unref(): void;
}

/** Bytes that did not cross the network, to the host and from it. */
export interface Saved {
  up: number;
  down: number;
}

/** A session that was at another host, and that its client has brought to this one. */
export interface Brought {
  /** As its first host had it, with the session's id at this host. */
  readonly welcome: Welcome;
  /** How many of the host's frames the client has taken, and how many of its own the host has. */
  readonly taken: number;
  readonly acknowledged: number;
  /** The number of the client's newest attempt to resume. */
  readonly attempt: number;
}

/** A way to reach a host. */
export interface Transport {
  /** The host's address as a person would write it. */
  readonly target: string;
  /**
   * The session ends by itself when the program has had no device and asked for nothing for so many milliseconds: then the
   * host can be given back. Absent if the host stays.
   */
  readonly idleMs?: number | undefined;
  /**
   * Opens a session's link. Returns at once; a failure arrives through `events.onClose`. A session that was brought to this
   * host is resumed there, without a welcome.
   */
  open(hello: Hello, events: LinkEvents, brought?: Brought): Link;
}
