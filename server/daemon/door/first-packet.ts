import { ProtocolError } from '../../../proto/errors.js';
import { type Compression, grantCompression } from '../../../proto/session/compression.js';
import type { Hello, Resume } from '../../../proto/session/handshake.js';
import { decodeObject, PACKET, PREFACE } from '../../../proto/wire/packet.js';

/** The longest first packet of a client, in bytes. */
const LONGEST_BYTES = 64 << 10;

/** The first packet of a connection: Hello or Resume. */
export interface FirstPacket {
  kind: number | undefined;
  body: Uint8Array;
}

/** Collects the first bytes of a connection: the preface, and the packet behind it. */
export class FirstPacketReader {
  #bytes: Uint8Array = new Uint8Array(0);

  /**
   * @returns the packet, and the bytes behind it, once the packet is complete.
   * @throws ProtocolError where the bytes are not a preface and a short packet.
   */
  push(piece: Uint8Array): { packet: FirstPacket; rest: Uint8Array } | undefined {
    this.#bytes = this.#bytes.length === 0 ? piece : Buffer.concat([this.#bytes, piece]);
    const preface = this.#bytes.subarray(0, PREFACE.length);
    if (preface.some((byte, at) => byte !== PREFACE[at]))
      throw new ProtocolError('this is not a Farlight client');
    if (this.#bytes.length < PREFACE.length + 4) return undefined;
    const length = new DataView(this.#bytes.buffer, this.#bytes.byteOffset).getUint32(PREFACE.length, true);
    if (length > LONGEST_BYTES)
      throw new ProtocolError(`a session begins with a Hello or Resume of at most ${LONGEST_BYTES} bytes`);
    const end = PREFACE.length + 4 + length;
    if (this.#bytes.length < end) return undefined;
    const kind = length > 0 ? this.#bytes[PREFACE.length + 4] : undefined;
    const body = this.#bytes.subarray(PREFACE.length + 5, end);
    return { packet: { kind, body }, rest: this.#bytes.subarray(end) };
  }
}

/** @throws ProtocolError unless the packet is Hello or Resume. */
export function decodeFirstPacket({ kind, body }: FirstPacket): Record<string, unknown> {
  if (kind === PACKET.hello || kind === PACKET.resume) return decodeObject(body);
  throw new ProtocolError('a session begins with Hello or Resume');
}

/** A client's Hello, with the compression that the host grants. */
export type ClientHello = Omit<Hello, 'compression'> & { compression: Compression | undefined };

/** @throws ProtocolError unless the fields are a Hello's. */
export function decodeHello({
  protocolMin,
  protocolMax,
  version,
  program,
  compression,
  key,
  parks,
  moves,
}: Record<string, unknown>): ClientHello {
  const numbers = [protocolMin, protocolMax].every(Number.isSafeInteger);
  const keyed = key === undefined || (typeof key === 'string' && key.length > 0);
  if (!numbers || !keyed || typeof version !== 'string' || typeof program !== 'string') {
    throw new ProtocolError('Hello is incomplete');
  }
  return {
    protocolMin,
    protocolMax,
    version,
    program,
    key,
    parks: parks === true,
    moves: moves === true,
    compression: grantCompression(compression),
  } as ClientHello;
}

/** @throws ProtocolError unless the fields are a Resume's. */
export function decodeResume({ sessionId, taken, attempt }: Record<string, unknown>): Resume {
  const numbers = [taken, attempt].every(Number.isSafeInteger);
  if (!numbers || typeof sessionId !== 'string') throw new ProtocolError('Resume is incomplete');
  return { sessionId, taken, attempt } as Resume;
}
