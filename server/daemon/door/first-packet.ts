import { type Compression, grantCompression } from '../../../proto/compression.js';
import { ProtocolError } from '../../../proto/errors.js';
import type { Hello, Resume } from '../../../proto/handshake.js';
import { decodeObject, PACKET } from '../../../proto/wire/packet.js';
import type { Caller } from './front-door.js';

/** @throws ProtocolError where the packet is none that begins a session. */
export function decodeWords({ kind, body }: Caller): Record<string, unknown> {
  if (kind === PACKET.hello || kind === PACKET.resume) return decodeObject(body);
  throw new ProtocolError('a session begins with Hello or Resume');
}

/** A client's Hello, and what it is granted of the compression that it asks for. */
export type Greeting = Omit<Hello, 'compression'> & { compression: Compression | undefined };

/** @throws ProtocolError where it is none. */
export function decodeHello({
  protocolMin,
  protocolMax,
  version,
  program,
  compression,
  key,
}: Record<string, unknown>): Greeting {
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
    compression: grantCompression(compression),
  } as Greeting;
}

/** @throws ProtocolError where it is none. */
export function decodeResume({ sessionId, taken, attempt }: Record<string, unknown>): Resume {
  const numbers = [taken, attempt].every(Number.isSafeInteger);
  if (!numbers || typeof sessionId !== 'string') throw new ProtocolError('Resume is incomplete');
  return { sessionId, taken, attempt } as Resume;
}
