import type { Duplex } from 'node:stream';
import { deferred } from '../../../link/machine/deferred.js';
import { alarm } from '../../../link/machine/timer.js';

/** The bytes before a range: its size. */
export const HEADER_BYTES = 4;
/** The largest range. */
export const MOST_BYTES: number = 2 ** 32 - 4;
/** A range is read and written in pieces of so many bytes at most. */
const PIECE_BYTES = 256 << 10;
/** How long the other end may take no bytes that wait for it, in milliseconds. */
const STALLED_MS = 120_000;
/** How long a closed line may take to send the rest, in milliseconds. */
const LEAVE_MS = 10_000;

/** A range that the session waits for. */
interface Receiving {
  readonly size: number;
  readonly write: (at: number, bytes: Uint8Array) => void;
  /** It has come, or the line is closed. */
  readonly settle: (closed?: Error) => void;
  /** How many bytes have come. Undefined until the size that the other end has sent is known. */
  came: number | undefined;
}

/**
 * One end of a line, which carries ranges both ways: each as its size and its bytes, in the order in which they were
 * sent.
 *
 * States: *opening* (what is sent waits) -> *open* -> *closed*; opening -> closed. A line that breaks is never opened
 * again.
 */
export class Line {
  readonly #alarm: typeof alarm;
  readonly #opened = deferred<Error | undefined>();
  #socket: Duplex | undefined;
  #closed: Error | undefined;
  /** Settles when all that is to be sent has left. */
  #sending: Promise<unknown> = this.#opened.promise;
  #receiving: Receiving | undefined;
  #sent = 0;
  #received = 0;

  /** `after` calls back after so many milliseconds. */
  constructor(after: typeof alarm = alarm) {
    this.#alarm = after;
  }

  /** Why it is closed. */
  get closed(): Error | undefined {
    return this.#closed;
  }

  /** Bytes that were sent and received, sizes of ranges included. */
  get sent(): number {
    return this.#sent;
  }

  get received(): number {
    return this.#received;
  }

  /** Resolves when the line is open, or to the reason where it is closed before. */
  get opened(): Promise<Error | undefined> {
    return this.#opened.promise;
  }

  /** The line is open: this socket carries it. */
  open(socket: Duplex): void {
    if (this.#closed || this.#socket) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    const gone = () => this.fail('the host or the session at its other end is gone');
    socket.on('readable', () => this.#read());
    // Ranges that have come can still be received.
    socket.on('end', gone);
    socket.on('error', gone);
    socket.on('close', gone);
    this.#opened.resolve(undefined);
  }

  /** Closes the line at once: nothing more is sent or received. The first reason counts. */
  fail(why: string): void {
    if (this.#closed) return;
    this.#closed = new Error(why);
    this.#opened.resolve(this.#closed);
    this.#receiving?.settle(this.#closed);
    this.#receiving = undefined;
    this.#socket?.destroy();
  }

  /** Closes the line when all that is to be sent has left. */
  async close(): Promise<void> {
    const late = this.#alarm(LEAVE_MS, () => this.fail('it was closed'));
    await this.#sending;
    const socket = this.#socket;
    if (socket && !this.#closed)
      await new Promise<void>((resolve) => socket.end(resolve).once('close', resolve));
    late.cancel();
    this.fail('it was closed');
  }

  /**
   * Sends a range behind those before. `bytes` resolves to its bytes, which stay valid until the returned promise
   * settles. That rejects with the reason where the line is closed before all of it is on its way. If `bytes` rejects, so
   * does it, and the line is closed.
   */
  send(size: number, bytes: Promise<Uint8Array>): Promise<void> {
    const sent = Promise.all([bytes, this.#sending]).then(([range]) => this.#write(size, range));
    // The returned promise has the error. The other end would wait for this range, so the line is closed.
    this.#sending = sent.catch(() => this.fail('a range could not be read at its other end'));
    return sent;
  }

  /**
   * Receives the next range, and has it written piece by piece. Returns undefined where all of it was here already.
   * Otherwise the promise resolves when it is, and rejects with the reason where the line is closed. Ranges are received
   * one at a time.
   */
  receive(size: number, write: Receiving['write'], timeoutMs: number): Promise<void> | undefined {
    if (this.#closed) return Promise.reject(this.#closed);
    let isHere = false;
    const received = new Promise<void>((resolve, reject) => {
      const settle = (closed?: Error) => {
        late.cancel();
        isHere = !closed;
        if (closed) reject(closed);
        else resolve();
      };
      const late = this.#alarm(timeoutMs, () => this.fail(`nothing came within ${timeoutMs / 1000} seconds`));
      this.#receiving = { size, write, settle, came: undefined };
      this.#read();
    });
    return isHere ? undefined : received;
  }

  async #write(size: number, bytes: Uint8Array): Promise<void> {
    const header = new Uint8Array(HEADER_BYTES);
    new DataView(header.buffer).setUint32(0, size, true);
    for (let at = 0; at < size; at += PIECE_BYTES) {
      const socket = this.#socket;
      if (!socket || this.#closed)
        throw this.#closed ?? new Error('Farlight bug: a line sends before it is open');
      // Copied: the connection may keep a piece for longer than the range stays mapped.
      const piece = bytes.slice(at, at + PIECE_BYTES);
      const isFull = !socket.write(at === 0 ? Buffer.concat([header, piece]) : piece);
      this.#sent += piece.length + (at === 0 ? HEADER_BYTES : 0);
      if (isFull) await this.#drained(socket);
    }
  }

  async #drained(socket: Duplex): Promise<void> {
    const late = this.#alarm(STALLED_MS, () =>
      this.fail(`its other end has taken nothing for ${STALLED_MS / 1000} seconds`),
    );
    await new Promise<void>((resolve) => {
      const settle = () => {
        socket.off('drain', settle).off('close', settle);
        resolve();
      };
      socket.once('drain', settle).once('close', settle);
    });
    late.cancel();
    if (this.#closed) throw this.#closed;
  }

  #read(): void {
    const socket = this.#socket;
    while (socket && this.#receiving) {
      const receiving = this.#receiving;
      if (receiving.came === undefined) {
        const header: Buffer | null = socket.read(HEADER_BYTES);
        if (!header) return;
        this.#received += header.length;
        const size = header.length === HEADER_BYTES ? header.readUInt32LE() : -1;
        if (size !== receiving.size) {
          this.fail(`a range of ${receiving.size} bytes is received, and one of ${size} bytes was sent`);
          return;
        }
        receiving.came = 0;
      }
      const wanted = Math.min(PIECE_BYTES, receiving.size - receiving.came);
      const piece: Buffer | null = socket.read(wanted);
      // At the end of a stream the rest comes, however long.
      if (!piece || piece.length < wanted) return;
      this.#received += piece.length;
      receiving.write(receiving.came, piece);
      receiving.came += piece.length;
      if (receiving.came < receiving.size) continue;
      this.#receiving = undefined;
      receiving.settle();
    }
  }
}
