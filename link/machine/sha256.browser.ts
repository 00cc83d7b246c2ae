import { sha256 as hash } from '@noble/hashes/sha2.js';

/** As in sha256.ts; a browser's own SHA-256 is asynchronous. */
export function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const sum = hash.create();
  for (const part of parts) sum.update(part);
  return sum.digest();
}
