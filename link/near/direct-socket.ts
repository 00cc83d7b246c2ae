import { writeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { ByteStream, Receiver } from '../channel/byte-stream.js';
import { runtimeName } from '../machine/runtime.js';
import { handleOf } from './socket-handle.js';

/** What is read at once before there is a receiver, in bytes. */
const FIRST_BYTES = 64 << 10;

/**
 * A socket that reads into its receiver's own memory, and emits no 'data'. A stream's readable side takes memory of
 * 64 KiB for each piece that it reads, hands it over in calls of its own, and the piece is then copied to where it
 * belongs: over loopback that halves the speed.
 */
export class DirectSocket extends Socket {
  readonly #inlet: Inlet;

  constructor(options?: SocketConstructorOpts) {
    const inlet = new Inlet();
    // Node asks for the memory as soon as there is a handle: now, if there is one already. (Its types have `onread`
    // for sockets that connect alone.)
    super({ ...options, onread: inlet } as SocketConstructorOpts);
    this.#inlet = inlet;
  }

  /**
   * The connection of a socket from which nothing was read and to which nothing was written: that is of no use
   * afterwards, and closes with this one. The stream itself where it has no connection of its own that could be had:
   * TLS reads in a way of its own, what is closed has none, and other runtimes keep theirs elsewhere than Node.
   */
  static over(stream: ByteStream): ByteStream {
    if (!(stream instanceof Socket) || stream instanceof TLSSocket || stream instanceof DirectSocket)
      return stream;
    if (runtimeName() !== 'Node') return stream;
    const handle = handleOf(stream);
    if (!handle) return stream;
    (stream as unknown as { _handle: null })._handle = null;
    // Both are net's own ways, which its types leave out: a process that is given a connection makes its socket so.
    const direct = new DirectSocket({ handle, readable: true, writable: true } as SocketConstructorOpts);
    direct.once('close', () => stream.destroy());
    return direct;
  }

  /**
   * Writes by a call of the system, where nothing waits to be written, what that takes at once: it need not pass the
   * stream's code. Returns how many bytes it took; the rest is to be written as ever.
   */
  writeNow(bytes: Uint8Array): number {
    if (this.writableLength > 0 || this.writableCorked > 0 || !this.writable || this.connecting) return 0;
    const { fd = -1 } = handleOf(this) ?? {};
    try {
      return fd < 0 ? 0 : writeSync(fd, bytes);
    } catch {
      // It takes none now, or is broken, which the stream finds out and tells.
      return 0;
    }
  }

  /** Gives what was read, and all that will be, to a receiver. */
  deliver(receiver: Receiver): void {
    this.#inlet.deliver(receiver);
  }
}

/** What net asks for memory, and tells what was read. */
class Inlet {
  #receiver: Receiver | undefined;
  readonly #early: Uint8Array[] = [];

  readonly buffer = (): Uint8Array => this.#receiver?.room() ?? new Uint8Array(FIRST_BYTES);

  readonly callback = (length: number, bytes: Uint8Array): boolean => {
    const piece = bytes.subarray(0, length);
    if (this.#receiver) this.#receiver.push(piece);
    else this.#early.push(piece);
    return true;
  };

  deliver(receiver: Receiver): void {
    this.#receiver = receiver;
    for (const piece of this.#early.splice(0)) receiver.push(piece);
  }
}
