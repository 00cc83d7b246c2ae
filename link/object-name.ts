import { createHash } from 'node:crypto';

/** The bytes of an object's name. A name is a hint: whoever believes a wrong one waits longer, or less long. */
export const OBJECT_NAME_BYTES = 8;

/**
 * Names an immutable object by what it is made of, so that client and host call it the same in every session.
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
  const hash = createHash('sha256')
    .update(JSON.stringify([creates, args.length, parts]))
    .update(args);
  for (const payload of payloads) hash.update(`${payload.length}:`).update(payload);
  return hash.digest('hex').slice(0, 2 * OBJECT_NAME_BYTES);
}
