import type { Socket } from 'node:net';

export type Direction = 'up' | 'down';

/** What a flow asks of the link that carries it, and tells it. */
export interface FlowOwner {
  /** Whether nothing passes at present. */
  readonly frozen: boolean;
  /** These bytes were read: they are to be passed on when the link has carried them. */
  read(flow: Flow, bytes: number): void;
  /** How many bytes may be written now, frozen or not. */
  allowance(direction: Direction): number;
  /** So many were. */
  written(direction: Direction, bytes: number): void;
  /** What is held became more, or less. */
  held(change: number): void;
}

/** Stands for the end of a stream among its bytes; as in TCP, it takes the place of one. */
const END = Buffer.alloc(1);
/** What a socket that does not write as fast as it is told to may keep, in bytes. */
const SOCKET_BYTES = 64 * 1024;

/**
 * One direction of one connection: bytes that are read from one socket and written to another, in order. It
 * holds a limited number of them, and reads none while it has that many.
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

  /** Reads nothing before `start`. The sockets stay the caller's. */
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

  /** Whether everything was written, the end too. */
  get ended(): boolean {
    return this.#ended;
  }

  start(): void {
    this.#started = true;
    this.refresh();
  }

  /** The link has carried so many more bytes. */
  pass(bytes: number): void {
    if (this.#removed) return;
    this.#due += bytes;
    this.refresh();
  }

  /** Writes and reads what may be written and read now; to be called when the link is frozen or thawed, too. */
  refresh(): void {
    if (this.#removed) return;
    this.#write();
    const full = this.#held >= this.#window;
    if (!this.#started || full || this.#owner.frozen) this.#source.pause();
    else this.#source.resume();
  }

  /** Drops what it holds; nothing more passes. */
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
      // May cut the link, and so remove this flow.
      this.#owner.written(this.direction, piece === END ? 0 : piece.length);
    }
  }

  /** The first bytes held, as many as are in one piece and at most so many. */
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
