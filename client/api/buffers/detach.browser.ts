// Taken now: tests replace the global later.
const { structuredClone } = globalThis;

type Transferable = ArrayBuffer & { transfer?(length: number): ArrayBuffer; detached?: boolean };

/** Empties an ArrayBuffer. */
export function detach(buffer: ArrayBuffer): void {
  const { transfer, detached } = buffer as Transferable;
  // The program may have transferred it: see `pin`.
  if (detached) return;
  if (transfer) transfer.call(buffer, 0);
  else if (buffer.byteLength > 0) structuredClone(buffer, { transfer: [buffer] });
}

/** Empties an ArrayBuffer and returns its memory in a new one. Undefined: the program has transferred it. */
export function reclaim(buffer: ArrayBuffer): ArrayBuffer | undefined {
  const { transfer, detached } = buffer as Transferable;
  if (detached) return undefined;
  return transfer
    ? transfer.call(buffer, buffer.byteLength)
    : structuredClone(buffer, { transfer: [buffer] });
}

/** A page cannot keep its own code from transferring a buffer. Then the bytes that were written there are lost. */
export function pin(_buffer: ArrayBuffer): void {}

/** Whether `pin` does anything. */
export function canPin(): boolean {
  return false;
}
