import { ProtocolError } from '../../../proto/errors.js';
import { PREFACE } from '../../../proto/wire/packet.js';

/** The longest first packet of a client, in bytes. */
const GREETING_BYTES = 64 << 10;

/** What a client says first on a connection: the preface, and the packet behind it. */
export class Greeting {
  packet: Uint8Array = new Uint8Array(0);
  #bytes: Uint8Array = new Uint8Array(0);

  /** Returns what comes behind the packet once that is complete. @throws ProtocolError where it is none. */
  push(piece: Uint8Array): Uint8Array | undefined {
    this.#bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece]);
    const preface = this.#bytes.subarray(0, PREFACE.length);
    if (preface.some((byte, at) => byte !== PREFACE[at]))
      throw new ProtocolError('this is no Farlight client');
    if (this.#bytes.length < PREFACE.length + 4) return undefined;
    const length = new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getUint32(PREFACE.length, true);
    if (length > GREETING_BYTES)
      throw new ProtocolError('a session begins with Hello or Resume, and briefly');
    const end = PREFACE.length + 4 + length;
    if (this.#bytes.length < end) return undefined;
    this.packet = this.#bytes.subarray(PREFACE.length + 4, end);
    return this.#bytes.subarray(end);
  }
}
