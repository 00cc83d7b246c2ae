import { ProtocolError } from '../errors.js';
import { bytesToHex } from '../hex.js';

/**
 * The name of a content is the SHA-256 of its bytes (`hashContent` in link/machine/hashing.ts). So a hash checks the
 * bytes, and a name does not reveal them.
 */
export const CONTENT_NAME_BYTES = 32;

/** A branded type: names and contents are both bytes, and the compiler must not let one stand for the other. */
export type ContentName = Uint8Array & { readonly __contentName: true };

/**
 * @param bytes become the name: they are not copied.
 * @throws ProtocolError where they cannot be a name.
 */
export function toContentName(bytes: Uint8Array): ContentName {
  if (bytes.length !== CONTENT_NAME_BYTES) {
    throw new ProtocolError(`A content's name has ${CONTENT_NAME_BYTES} bytes, not ${bytes.length}`);
  }
  return bytes as ContentName;
}

/** The name in lower-case hex: a file name, and a key of maps. */
export function contentNameToHex(name: ContentName): string {
  return bytesToHex(name);
}

/** Undefined where the text is not exactly what `contentNameToHex` would give. */
export function contentNameFromHex(hex: string): ContentName | undefined {
  if (!NAME_IN_HEX.test(hex)) return undefined;
  const bytes = new Uint8Array(CONTENT_NAME_BYTES);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (digit(hex, 2 * at) << 4) | digit(hex, 2 * at + 1);
  return toContentName(bytes);
}

export function sameContentName(a: ContentName, b: ContentName): boolean {
  return a.every((byte, at) => byte === b[at]);
}

/** The value of a hex digit. (A full store's 16,384 names are read when a session starts.) */
function digit(hex: string, at: number): number {
  const code = hex.charCodeAt(at);
  return code < 0x3a ? code - 0x30 : code - 0x57;
}

const NAME_IN_HEX = /^[0-9a-f]{64}$/;
