import type { MessagePort } from 'node:worker_threads';
import { Credit } from '../../link/channel/credit.js';
import type { FarlightErrorCode } from '../../proto/errors.js';
import type { HostOptions } from './host-link.js';
import type { Brought, Hello, Welcome } from './transport.js';

/** Indexes behind the credit's own. */
const CLOSED = Credit.LENGTH;
const BEATS = Credit.LENGTH + 1;
const LENGTH = Credit.LENGTH + 2;
/** A credit's first number changes with each acknowledgement. */
const CHANGES = 0;

/** After this many milliseconds without a change, a waiting thread asks the other one for a heartbeat. */
const ASK_MS = 1000;
/** After this many requests without a heartbeat, the other thread counts as dead. */
const MOST_UNANSWERED = 10;

/** State that the program's thread and its connection thread share: the credit, and signs of life. */
export class Flow {
  /** The other thread makes its own Flow from this memory. */
  readonly shared: SharedArrayBuffer;
  readonly credit: Credit;
  readonly #state: Int32Array;
  readonly #askMs: number;

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(4 * LENGTH), askMs: number = ASK_MS) {
    this.shared = shared;
    this.#state = new Int32Array(shared);
    this.credit = new Credit(undefined, this.#state);
    this.#askMs = askMs;
  }

  /** The host has acknowledged this many bytes. Returns true if the program's thread must be resumed. */
  taken(bytes: number): boolean {
    const resumes = this.credit.taken(bytes);
    Atomics.notify(this.#state, CHANGES);
    return resumes;
  }

  /** The connection has ended. Wakes every thread that waits for it. */
  close(): void {
    Atomics.store(this.#state, CLOSED, 1);
    this.credit.reset();
    Atomics.notify(this.#state, CHANGES);
    Atomics.notify(this.#state, CLOSED);
  }

  /** A sign of life from the connection thread. */
  beat(): void {
    Atomics.add(this.#state, BEATS, 1);
  }

  get closed(): boolean {
    return Atomics.load(this.#state, CLOSED) === 1;
  }

  /**
   * Blocks this thread until there is room, or the connection has ended. Returns false if the connection thread is dead;
   * then it also ends the connection. (A thread closes its connections at its end, but not if the system kills it.)
   *
   * @param ask makes the other thread call `beat`.
   */
  awaitRoom(ask: () => void): boolean {
    let beats = Atomics.load(this.#state, BEATS);
    for (let unanswered = 0; unanswered <= MOST_UNANSWERED; ) {
      const { underWay } = this.credit;
      if (this.credit.hasRoom || this.closed) return true;
      const isSame = Atomics.wait(this.#state, CHANGES, underWay, this.#askMs) === 'timed-out';
      const now = Atomics.load(this.#state, BEATS);
      unanswered = isSame && now === beats ? unanswered + 1 : 0;
      beats = now;
      if (isSame) ask();
    }
    this.close();
    return false;
  }

  /** Blocks this thread until the connection has ended, or for `timeoutMs` at most. Returns whether it has ended. */
  awaitClosed(timeoutMs: number): boolean {
    return Atomics.wait(this.#state, CLOSED, 0, timeoutMs) !== 'timed-out';
  }
}

/** Where a link leads: the text of a host's address, since a parsed one would arrive without its token. */
export interface Way {
  host: string;
  options: HostOptions;
}

/** Asks the worker for a link, whose messages travel over `port`. */
export interface OpenRequest {
  port: MessagePort;
  /** Where memory of frames that the host has taken comes back, to serve again. */
  spares: MessagePort;
  way: Way;
  hello: Hello;
  brought: Brought | undefined;
  /** The Flow's. */
  flow: SharedArrayBuffer;
  /** A BigInt64Array of SAVED. */
  saved: SharedArrayBuffer;
}

/** Bytes that compression kept off the wire, each way. */
export const SAVED = { up: 0, down: 1, length: 2 } as const;

/**
 * A frame to send; the memory of a received frame, to be used again; or a request for a heartbeat (`Flow.beat`).
 */
export type ToWorker = Uint8Array<ArrayBuffer> | { spare: Uint8Array<ArrayBuffer> } | 'beat' | 'close';

export type FromWorker =
  | Uint8Array<ArrayBuffer>
  | { welcome: Welcome }
  | 'drain'
  | { closed: { code: FarlightErrorCode; message: string } | undefined };
