import { writeSync } from 'node:fs';
import { Socket, type SocketConstructorOpts } from 'node:net';
import { TLSSocket } from 'node:tls';
import { runtimeName } from '../machine/runtime.js';

/** Takes the bytes that a socket reads. */
export interface Reader {
  /** Memory for the next read. The socket owns it until it pushes the bytes that it read. */
  room(): Uint8Array;
  /** Takes read bytes. A piece that is not in the memory of `room` may only be read during the call. */
  push(piece: Uint8Array): void;
}

/** How many bytes are read while there is no reader. */
const FIRST_BYTES = 64 << 10;

/**
 * A socket that reads into its reader's own memory, and emits no 'data'. The readable side of a stream takes 64 KiB of
 * memory for each piece, and hands it over in calls of its own. Then the piece is copied to its place. Over loopback that
 * halves the speed.
 */
export class DirectSocket extends Socket {
  readonly #inlet: Inlet;

  private constructor(handle: object) {
    const inlet = new Inlet();
    // `handle` and `onread` are options that the types of net leave out. net asks for memory at once.
    super({ handle, readable: true, writable: true, onread: inlet } as unknown as SocketConstructorOpts);
    this.#inlet = inlet;
  }

  /**
   * Takes over the connection of a socket that has read and written nothing. The given socket is useless afterwards, and
   * closes with this one. Undefined if the connection cannot be taken over: TLS reads in a way of its own, a closed
   * socket has no connection, and other runtimes keep it elsewhere than Node.
   */
  static over(stream: object): DirectSocket | undefined {
    if (!(stream instanceof Socket) || stream instanceof TLSSocket || runtimeName() !== 'Node')
      return undefined;
    const given = stream as unknown as { _handle: object | null };
    const handle = given._handle;
    if (!handle) return undefined;
    given._handle = null;
    const direct = new DirectSocket(handle);
    direct.once('close', () => stream.destroy());
    return direct;
  }

  /** The connection's descriptor; -1 if it has none, for example when it is closed. */
  get fd(): number {
    return (this as unknown as { _handle: { fd?: number } | null })._handle?.fd ?? -1;
  }

  /** Gives all bytes to a reader: the bytes that were read already, and all later ones. */
  deliver(reader: Reader): void {
    this.#inlet.reader = reader;
    for (const piece of this.#inlet.early.splice(0)) reader.push(piece);
  }

  /**
   * Writes directly by a system call, which is cheaper than the stream's code, if no bytes wait to be written. Returns how
   * many bytes the system took. Write the rest to the stream.
   */
  writeNow(bytes: Uint8Array): number {
    if (this.writableLength > 0 || !this.writable || this.fd < 0) return 0;
    try {
      return writeSync(this.fd, bytes);
    } catch {
      // It takes no bytes now, or it is broken. The stream notices and reports that.
      return 0;
    }
  }
}

/** The two functions that net calls: to ask for memory, and to report a read. */
class Inlet {
  reader: Reader | undefined;
  readonly early: Uint8Array[] = [];

  readonly buffer = (): Uint8Array => this.reader?.room() ?? new Uint8Array(FIRST_BYTES);

  readonly callback = (length: number, bytes: Uint8Array): boolean => {
    const piece = bytes.subarray(0, length);
    if (this.reader) this.reader.push(piece);
    else this.early.push(piece);
    return true;
  };
}
