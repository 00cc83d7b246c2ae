/** Of how many bytes on clearing memory takes longer than taking it another way. */
const LARGE_BYTES = 64 << 10;

/** Absent outside of Node. */
const { Buffer: NodeBuffer } = globalThis as { Buffer?: { allocUnsafeSlow(bytes: number): Uint8Array } };

/** Memory of its own for bytes that all are written before any is read: what is in it at first is undefined. */
export function uncleared(bytes: number): Uint8Array<ArrayBuffer> {
  if (!NodeBuffer || bytes < LARGE_BYTES) return new Uint8Array(bytes);
  return new Uint8Array(NodeBuffer.allocUnsafeSlow(bytes).buffer as ArrayBuffer);
}
