import { type ContentName, toContentName } from '../../proto/content/content.js';
import { bytesToHex } from '../../proto/hex.js';
import { sha256 } from './sha256.js';

/** The name of a content: the only place where contents are hashed. */
export function hashContent(bytes: Uint8Array): ContentName {
  return toContentName(sha256(bytes));
}

/** The bytes of an object's name. A name is only a hint: a wrong one changes how long somebody waits. */
export const OBJECT_NAME_BYTES = 8;

/**
 * Names an immutable object by its parts, so that client and host use the same name in every session.
 *
 * @param creates the interface.
 * @param args the shape of the create without its opcode, which differs where the create is awaited.
 * @param parts the names of the objects that it is made of, the receiver first.
 * @returns the name in lower-case hex.
 */
export function objectName(
  creates: string,
  args: Uint8Array,
  payloads: readonly Uint8Array[],
  parts: readonly string[],
): string {
  const bytes = [encode(JSON.stringify([creates, args.length, parts])), args];
  for (const payload of payloads) bytes.push(encode(`${payload.length}:`), payload);
  return bytesToHex(sha256(...bytes).subarray(0, OBJECT_NAME_BYTES));
}

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);
