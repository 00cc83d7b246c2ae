import { totalmem } from 'node:os';

/** Bytes of memory for this process and its children: the machine's, or its container's. */
export function machineMemory(): number {
  // The system gives 0, or more than the machine has, where it sets no bound.
  const bound = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  return Math.min(totalmem(), bound);
}
