import { ProtocolError } from '../errors.js';
import { LIMITS } from './limits.js';

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The first bytes of both peers on a connection. With them a port can tell a session from HTTP/2 (which begins with
 * `PRI * HTTP/2.0`), and a client can tell a host from another server.
 */
export const PREFACE: Uint8Array = encoder.encode('FARLIGHT');

/** The kinds of packets, which are their first byte. Objects travel as JSON. */
export const PACKET = {
  /** A frame of a flush. Frames are numbered from 1 on in each direction, by their order alone. */
  data: 0,
  /** How many of the peer's frames were taken, as a 64-bit number. */
  ack: 1,
  ping: 2,
  pong: 3,
  /** Client: opens a session (Hello). */
  hello: 4,
  /** Client: goes on with a session on a new connection (Resume). */
  resume: 5,
  /** Host: the session is open (Welcome). */
  welcome: 6,
  /** Host: the session goes on; how many of the client's frames were taken, as `ack` has it. */
  resumed: 7,
  /** Host: the session has ended (SessionEnd). Nothing comes after it. */
  end: 8,
  /** Client: the session has ended. Nothing comes after it. */
  bye: 9,
  /** A frame as `data` has it, compressed: its length as a 32-bit number, and a brotli stream. Where Welcome grants it. */
  packed: 10,
  /** Client: has made a file for long frames, which both may reach (SharedFileOffer). Where Welcome says so. */
  offer: 11,
  /** Host: whether it has opened the file: one byte, 1 or 0. */
  offerReply: 12,
  /** A frame as `data` has it, which lies in the shared file: its slot and its length, as 32-bit numbers. */
  placed: 13,
  /** Host: another host has the session (Moved). Nothing comes after it. Only to a client whose Hello says `moves`. */
  moved: 14,
} as const;

export type PacketKind = (typeof PACKET)[keyof typeof PACKET];

/** The longest packet: a whole frame behind the packet's kind. */
export const PACKET_LIMIT: number = LIMITS.frameBytes + 1;

/** The bytes in front of each packet of a stream: its length as a little-endian 32-bit number. */
export const LENGTH_BYTES = 4;
/** The bytes in front of a packet's body: the packet's length, and its kind. */
export const HEADER_BYTES: number = LENGTH_BYTES + 1;

function writeHeader(bytes: Uint8Array, kind: PacketKind, bodyLength: number): void {
  const length = bodyLength + 1;
  bytes[0] = length;
  bytes[1] = length >>> 8;
  bytes[2] = length >>> 16;
  bytes[3] = length >>> 24;
  bytes[4] = kind;
}

/** The header of a packet with so many bytes of body: a frame's, unless another kind is given. */
export function dataHeader(bodyLength: number, kind: PacketKind = PACKET.data): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  writeHeader(header, kind, bodyLength);
  return header;
}

/** The body that says where a frame lies in a shared file. */
export function placeBody(slot: number, length: number): Uint8Array {
  const body = new Uint8Array(8);
  const view = new DataView(body.buffer);
  view.setUint32(0, slot, true);
  view.setUint32(4, length, true);
  return body;
}

/** @throws ProtocolError where the body names no place. */
export function decodePlace(body: Uint8Array): { slot: number; length: number } {
  if (body.length !== 8) throw new ProtocolError('a place is not 8 bytes long');
  const view = new DataView(body.buffer, body.byteOffset, 8);
  return { slot: view.getUint32(0, true), length: view.getUint32(4, true) };
}

/** A packet with its length in front. */
export function encodePacket(kind: PacketKind, body: Uint8Array = NOTHING): Uint8Array {
  const packet = new Uint8Array(HEADER_BYTES + body.length);
  writeHeader(packet, kind, body.length);
  packet.set(body, HEADER_BYTES);
  return packet;
}

/** The body of a packet that has none. */
export const NOTHING: Uint8Array = new Uint8Array(0);

/** The body of a packet that carries an object. */
export function objectBody(value: object): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

/** A packet that carries an object. */
export function encodeObject(kind: PacketKind, value: object): Uint8Array {
  return encodePacket(kind, objectBody(value));
}

/** The body of a packet that carries a count. */
export function countBody(count: number): Uint8Array {
  const body = new Uint8Array(8);
  new DataView(body.buffer).setBigUint64(0, BigInt(count), true);
  return body;
}

/** A packet that carries a count. */
export function encodeCount(kind: PacketKind, count: number): Uint8Array {
  return encodePacket(kind, countBody(count));
}

/** @throws ProtocolError where the body is no count. */
export function decodeCount(body: Uint8Array): number {
  if (body.length !== 8) throw new ProtocolError('a count is not 8 bytes long');
  const count = Number(new DataView(body.buffer, body.byteOffset, 8).getBigUint64(0, true));
  if (!Number.isSafeInteger(count)) throw new ProtocolError('a count is larger than any can be');
  return count;
}

/**
 * The members of the object that a packet carries. They are unchecked.
 *
 * @throws ProtocolError where the body is no object.
 */
export function decodeObject(body: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(decoder.decode(body));
  } catch {
    // The check below refuses it.
  }
  if (typeof value !== 'object' || value === null) throw new ProtocolError('a packet carries no object');
  return value as Record<string, unknown>;
}
