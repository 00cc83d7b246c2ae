import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

/**
 * The most bytes that wait in an eager socket, unless one write is larger. The windows of HTTP/2 and the credit of a
 * session allow fewer: only a peer that asks for answers and reads none gets so far.
 */
const MOST_WAITING = 64 << 20;

/**
 * A socket for Node's HTTP/2 that takes bytes at once, and sends them later.
 *
 * While a write of HTTP/2 is under way, Node reads nothing from that connection (`Http2Session::MaybeStopReading`). Two
 * ends that both write more than their system's buffers hold would then wait for each other for ever. One eager end
 * prevents that: its writes are never under way, so it goes on reading.
 */
export class EagerSocket extends Duplex {
  readonly #socket: Socket;
  /** Continues to write when fewer bytes wait. */
  #full: (() => void) | undefined;

  /** @param socket belongs to this object from now on. */
  constructor(socket: Socket) {
    super();
    this.#socket = socket;
    socket.on('data', (bytes) => {
      if (!this.push(bytes)) socket.pause();
    });
    socket.on('end', () => {
      this.push(null);
      // A paused stream must notice the end too, as a socket does.
      this.read(0);
    });
    socket.on('drain', () => this.#goOn());
    socket.on('error', (error) => this.destroy(error));
    socket.on('close', () => {
      // The last bytes may still wait for their reader.
      if (socket.readableEnded && !this.readableEnded) this.once('end', () => this.destroy());
      else this.destroy();
    });
    socket.pause();
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(bytes: Buffer, _encoding: string, done: () => void): void {
    // The socket ends itself when its peer has ended. The reader of the end closes this stream then.
    if (this.#socket.writable) this.#socket.write(bytes);
    this.#taken(done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.#socket.cork();
    if (this.#socket.writable) for (const { chunk } of chunks) this.#socket.write(chunk);
    this.#socket.uncork();
    this.#taken(done);
  }

  override _final(done: () => void): void {
    if (this.#socket.writable) this.#socket.end(done);
    else done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#goOn();
    this.#socket.destroy();
    done(error);
  }

  #taken(done: () => void): void {
    if (this.#socket.writableLength < MOST_WAITING) done();
    else this.#full = done;
  }

  #goOn(): void {
    const done = this.#full;
    this.#full = undefined;
    done?.();
  }
}
