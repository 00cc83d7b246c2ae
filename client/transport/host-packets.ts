import { FarlightError, type FarlightErrorCode, ProtocolError } from '../../proto/errors.js';
import { type CompressionRequest, grantedCompression } from '../../proto/session/compression.js';
import type { Moved, Welcome } from '../../proto/session/handshake.js';
import { SESSION_END_CODES } from '../../proto/session/session-end.js';
import { LIMITS } from '../../proto/wire/limits.js';
import { decodeObject } from '../../proto/wire/packet.js';

/** @throws ProtocolError where it is none. */
function bytesOfBase64(text: string): Uint8Array {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    throw new ProtocolError('Welcome is no base64');
  }
}

/** @throws ProtocolError where it is none. */
export function decodeWelcome(body: Uint8Array, asked: CompressionRequest | undefined): Welcome {
  const object = decodeObject(body) as unknown as Welcome & { contents?: { filter: string } };
  const welcome = { ...object, compression: grantedCompression(object.compression, asked) };
  const { protocol, version, sessionId, resumeMs, adapter, wgslLanguageFeatures, contents } = welcome;
  const { windowBytes = LIMITS.windowBytes } = welcome;
  const numbers = [protocol, resumeMs, windowBytes].every(Number.isSafeInteger);
  const strings = [version, sessionId, adapter?.name].every((each) => typeof each === 'string');
  if (!numbers || !strings || !Array.isArray(wgslLanguageFeatures)) {
    throw new ProtocolError('Welcome is incomplete');
  }
  if (!contents) return welcome;
  if (typeof contents.filter !== 'string' || !Number.isSafeInteger(contents.largestBytes)) {
    throw new ProtocolError('Welcome is incomplete');
  }
  return { ...welcome, contents: { ...contents, filter: bytesOfBase64(contents.filter) } };
}

/** @throws ProtocolError where it is none. */
export function decodeMoved(body: Uint8Array): Moved {
  const { address, sessionId } = decodeObject(body);
  if (typeof address !== 'string' || typeof sessionId !== 'string')
    throw new ProtocolError('Moved is incomplete');
  return { address, sessionId };
}

/** Why the host ends the session. */
export function decodeEnd(body: Uint8Array): FarlightError {
  const { code, message } = decodeObject(body);
  const known: FarlightErrorCode = SESSION_END_CODES.find((each) => each === code) ?? 'DISCONNECTED';
  return new FarlightError(known, typeof message === 'string' ? message : 'the host ended the session');
}
