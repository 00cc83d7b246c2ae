import { createHash, hash } from 'node:crypto';

/**
 * The SHA-256 of these bytes, one after the other. Synchronous, because commands are encoded and executed in order.
 */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  // Copied out of the Buffer, which would keep its pool alive for as long as somebody keeps the hash.
  if (parts.length === 1) return new Uint8Array(hash('sha256', parts[0] as Uint8Array, 'buffer'));
  const sum = createHash('sha256');
  for (const part of parts) sum.update(part);
  return new Uint8Array(sum.digest());
}
