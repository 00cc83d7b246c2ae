import { readSync, writeSync, writevSync } from 'node:fs';
import { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ByteStream, Receiver } from '../channel/byte-stream.js';
import { setTimeout } from '../machine/clock.js';
import { unref } from '../machine/timer.js';
import { DirectSocket } from './direct-socket.js';
import { handleOf } from './socket-handle.js';

/** How often it is tried again to write what the system did not take, in milliseconds. */
const RETRY_MS = 1;
/** The event loop reads so many bytes at once. */
const SLAB_BYTES = 64 << 10;

/**
 * A unix socket to a process on this machine, in a program's own thread. It is written by calls of the system, which
 * cost less than a stream's, and it can be turned without the event loop: a program that writes on and on does not
 * come to that, and what it writes is to leave all the same.
 */
export class NearStream implements ByteStream {
  readonly #socket: DirectSocket;
  readonly #fd: number;
  #receiver: Receiver | undefined;
  /** What the system has not taken yet. */
  #waiting: Uint8Array[] = [];
  #corked = false;
  #needsDrain = false;
  #broken = false;
  /** What was read is being handed on. */
  #handing = false;
  /** What `end` was given, until everything is written; and whether it is. */
  #then: (() => void) | undefined;
  #ended = false;

  /** Of a connection on which nothing was read or written; the stream itself where it is no plain socket. */
  static over(stream: ByteStream): ByteStream {
    if (!(stream instanceof Socket) || stream instanceof TLSSocket) return stream;
    const { fd = -1 } = handleOf(stream) ?? {};
    const direct = DirectSocket.over(stream);
    return fd >= 0 && direct instanceof DirectSocket ? new NearStream(direct, fd) : direct;
  }

  private constructor(socket: DirectSocket, fd: number) {
    this.#socket = socket;
    this.#fd = fd;
  }

  get isNear(): boolean {
    return this.remotePort === undefined;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get writable(): boolean {
    return this.#socket.writable && !this.#broken && !this.#then && !this.#ended;
  }

  get writableNeedDrain(): boolean {
    return this.#needsDrain;
  }

  write(bytes: Uint8Array): boolean {
    this.#waiting.push(bytes);
    // What waits leaves in another turn, and who is told of that then does not write within this call.
    if (!this.#corked && !this.#needsDrain) this.#flush();
    return !this.#needsDrain;
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    if (!this.#needsDrain) this.#flush();
  }

  deliver(receiver: Receiver): void {
    this.#receiver = receiver;
    // The event loop takes its memory long before it reads. A turn may fill the receiver's room in between, and hand it
    // on. So the loop has memory that is nobody else's, and its bytes are copied from there.
    const slab = new Uint8Array(SLAB_BYTES);
    this.#socket.deliver({ room: () => slab, push: (piece) => this.#hand(() => copyTo(receiver, piece)) });
  }

  /**
   * Writes what waits and hands on what has come, as the event loop would. Returns whether anything came; undefined
   * where only the event loop can go on: the connection is over, or what came before is being handed on.
   */
  turn(): boolean | undefined {
    const receiver = this.#receiver;
    if (!receiver || this.#handing || this.#isOver || this.#ended) return undefined;
    this.#flush();
    const room = receiver.room();
    let length: number;
    try {
      length = readSync(this.#fd, room, 0, room.length, null);
    } catch (error) {
      return wouldWait(error) ? false : undefined;
    }
    // At its end the event loop finds it again.
    if (length === 0) return undefined;
    this.#hand(() => receiver.push(room.subarray(0, length)));
    return true;
  }

  end(then: () => void): void {
    this.#then = then;
    this.#flush();
  }

  destroy(): void {
    this.#waiting = [];
    this.#socket.destroy();
  }

  resume(): void {
    this.#socket.resume();
  }

  unref(): void {
    this.#socket.unref();
  }

  on(
    event: 'data' | 'error' | 'drain' | 'end' | 'close',
    listener: (what: Uint8Array & Error) => void,
  ): void {
    this.#socket.on(event, listener);
  }

  once(event: 'close', listener: () => void): void {
    this.#socket.once(event, listener);
  }

  /** The descriptor may be another file's by now. */
  get #isOver(): boolean {
    return this.#socket.destroyed || this.#broken;
  }

  /** Hands on what was read. */
  #hand(push: () => void): void {
    this.#handing = true;
    try {
      push();
    } finally {
      this.#handing = false;
    }
    // A peer that says something has read something.
    this.#flush();
  }

  #flush(): void {
    while (this.#waiting.length > 0 && !this.#isOver && !this.#corked) {
      if (!this.#writeOnce()) {
        if (!this.#needsDrain) this.#retry();
        this.#needsDrain = true;
        return;
      }
    }
    if (this.#needsDrain) {
      this.#needsDrain = false;
      this.#socket.emit('drain');
    }
    if (!this.#then || this.#waiting.length > 0) return;
    this.#socket.end(this.#then);
    this.#then = undefined;
    this.#ended = true;
  }

  /** Returns false where the system takes nothing at the moment. */
  #writeOnce(): boolean {
    const [first] = this.#waiting as [Uint8Array];
    try {
      const length =
        this.#waiting.length === 1 ? writeSync(this.#fd, first) : writevSync(this.#fd, this.#waiting);
      this.#written(length);
      return true;
    } catch (error) {
      if (wouldWait(error)) return false;
      // That it is over, and why, the event loop says, behind what the peer has said last.
      this.#broken = true;
      this.#waiting = [];
      return true;
    }
  }

  #written(length: number): void {
    let left = length;
    while (this.#waiting[0] && left >= this.#waiting[0].length)
      left -= (this.#waiting.shift() as Uint8Array).length;
    if (this.#waiting[0] && left > 0) this.#waiting[0] = this.#waiting[0].subarray(left);
  }

  #retry(): void {
    unref(
      setTimeout(() => {
        if (!this.#needsDrain) return;
        this.#flush();
        if (this.#needsDrain && !this.#isOver) this.#retry();
      }, RETRY_MS),
    );
  }
}

/** Gives a receiver a copy of what was read elsewhere. */
function copyTo(receiver: Receiver, piece: Uint8Array): void {
  for (let at = 0; at < piece.length; ) {
    const room = receiver.room();
    const part = piece.subarray(at, at + room.length);
    room.set(part);
    receiver.push(room.subarray(0, part.length));
    at += part.length;
  }
}

/** Whether the system would have had to wait. */
function wouldWait(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'EAGAIN';
}
