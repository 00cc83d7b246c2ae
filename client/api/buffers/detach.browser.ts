// As it is now: tests put others there.
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

/** Empties an ArrayBuffer, and gives its memory to the caller: undefined where the program has it. */
export function reclaim(buffer: ArrayBuffer): ArrayBuffer | undefined {
  const { transfer, detached } = buffer as Transferable;
  if (detached) return undefined;
  return transfer
    ? transfer.call(buffer, buffer.byteLength)
    : structuredClone(buffer, { transfer: [buffer] });
}

/** A page has no way to keep its own code from transferring a buffer: what was written to it is lost then. */
export function pin(_buffer: ArrayBuffer): void {}

/** Whether `pin` does anything. */
export function canPin(): boolean {
  return false;
}
