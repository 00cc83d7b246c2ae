import type { Socket } from 'node:net';

export type Direction = 'up' | 'down';

/** The link that carries a flow, as the flow sees it. */
export interface FlowOwner {
  /** Whether nothing passes now. */
  readonly frozen: boolean;
  /** These bytes were read. They are passed on when the link has carried them. */
  read(flow: Flow, bytes: number): void;
  /** How many bytes may be written now, frozen or not. */
  allowance(direction: Direction): number;
  /** This many were written. */
  written(direction: Direction, bytes: number): void;
  /** The number of held bytes has changed by this. */
  held(change: number): void;
}

/** Stands for the end of a stream among its bytes. As in TCP, it takes the place of one byte. */
const END = Buffer.alloc(1);
/** How many bytes a socket may buffer if it writes slowly. */
const SOCKET_BYTES = 64 * 1024;

/**
 * One direction of one connection: bytes are read from one socket and written to another, in order. It holds
 * a limited number of bytes, and reads none at that limit.
 *
 * Of the bytes held, the first `#due` have passed the link; they wait for the far socket to take them.
 */
export class Flow {
  readonly direction: Direction;
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #window: number;
  readonly #owner: FlowOwner;
  readonly #pieces: Buffer[] = [];
  #held = 0;
  #due = 0;
  #started = false;
  #removed = false;
  #ended = false;

  /** Reads nothing before `start`. It does not own the sockets. */
  constructor(direction: Direction, source: Socket, sink: Socket, window: number, owner: FlowOwner) {
    this.direction = direction;
    this.#source = source;
    this.#sink = sink;
    this.#window = window;
    this.#owner = owner;
    source.pause();
    source.on('data', (piece: Buffer) => this.#hold(piece));
    source.on('end', () => this.#hold(END));
    sink.on('drain', () => this.refresh());
  }

  /** Whether everything was written, including the end. */
  get ended(): boolean {
    return this.#ended;
  }

  start(): void {
    this.#started = true;
    this.refresh();
  }

  /** The link has carried this many more bytes. */
  pass(bytes: number): void {
    if (this.#removed) return;
    this.#due += bytes;
    this.refresh();
  }

  /** Writes and reads as much as it may now. Call this also when the link is frozen or thawed. */
  refresh(): void {
    if (this.#removed) return;
    this.#write();
    const full = this.#held >= this.#window;
    if (!this.#started || full || this.#owner.frozen) this.#source.pause();
    else this.#source.resume();
  }

  /** Drops its bytes; nothing more passes. */
  remove(): void {
    if (this.#removed) return;
    this.#removed = true;
    this.#owner.held(-this.#held);
    this.#pieces.length = 0;
    this.#held = 0;
    this.#due = 0;
  }

  #hold(piece: Buffer): void {
    if (this.#removed) return;
    this.#pieces.push(piece);
    this.#held += piece.length;
    this.#owner.held(piece.length);
    this.#owner.read(this, piece.length);
    this.refresh();
  }

  #write(): void {
    if (this.#owner.frozen) return;
    while (this.#due > 0 && this.#sink.writableLength < SOCKET_BYTES) {
      const most = Math.min(this.#due, this.#owner.allowance(this.direction));
      if (most === 0) return;
      const piece = this.#take(most);
      if (piece === END) {
        this.#ended = true;
        this.#sink.end();
      } else {
        this.#sink.write(piece);
      }
      // This may cut the link, and so remove this flow.
      this.#owner.written(this.direction, piece === END ? 0 : piece.length);
    }
  }

  /** Takes the first held bytes: a part of the first piece, at most `most`. */
  #take(most: number): Buffer {
    const [first] = this.#pieces as [Buffer];
    const taken = first.length <= most ? first : first.subarray(0, most);
    if (taken === first) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(most);
    this.#held -= taken.length;
    this.#due -= taken.length;
    this.#owner.held(-taken.length);
    return taken;
  }
}
