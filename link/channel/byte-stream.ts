/** Who takes what a stream reads. */
export interface Receiver {
  /**
   * Memory for what is read next. As much of it as was read is pushed before anything else is, and before `room` is
   * asked again: it may lie in what is handed on then.
   */
  room(): Uint8Array;
  /** Takes what was read into it. */
  push(piece: Uint8Array): void;
}

/**
 * What a session's packets travel on: bytes in order, both ways. Node's Duplex is one; a page makes one of a WebSocket.
 * What is written is the stream's from then on.
 */
export interface ByteStream {
  /** Whether more may be written: false after `end`, and when the stream is gone. */
  readonly writable: boolean;
  /** Whether `drain` is to come. */
  readonly writableNeedDrain: boolean;
  /** The peer's port, on a TCP connection. */
  readonly remotePort?: number | undefined;
  /** Whether a process of this machine has the other end for certain, and this end is the program's own thread's. */
  readonly isNear?: boolean;
  /** Returns false where the writer should wait for `drain`. */
  write(bytes: Uint8Array): boolean;
  /**
   * Writes what can be written at once, where nothing waits to be written; returns how many bytes, of which the rest is
   * to be given to `write`. Absent where there is no such way.
   */
  writeNow?(bytes: Uint8Array): number;
  /** What is written until `uncork` may leave in one piece. */
  cork(): void;
  uncork(): void;
  /**
   * Writes what waits and hands on what has come, as the event loop would. Returns whether anything came; undefined
   * where only the event loop can go on. Absent where it always is the loop's.
   */
  turn?(): boolean | undefined;
  /** Closes it behind what was written, and calls back when that has left, which `close` may forestall. */
  end(then: () => void): unknown;
  /** Closes it now. `close` comes in a later turn. */
  destroy(): unknown;
  /** Reads into its receiver's own memory, and emits no `data`. Absent where it cannot. */
  deliver?(receiver: Receiver): void;
  /** Reads on, whether anybody listens to `data` or not. */
  resume(): unknown;
  /** Lets the process end although it is open; absent where it has nothing to let end. */
  unref?(): unknown;
  on(event: 'data', listener: (piece: Uint8Array) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'drain' | 'end' | 'close', listener: () => void): unknown;
  once(event: 'close', listener: () => void): unknown;
}
