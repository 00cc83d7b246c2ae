import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { markAsUntransferable } from 'node:worker_threads';
import { ofThisRealm } from '../../../proto/wire/memory.js';

type Transfer = (this: ArrayBuffer, length: number) => ArrayBuffer;

/**
 * On Node 20, V8 has ArrayBuffer.prototype.transfer behind this flag, in contexts that are made while it is
 * set.
 */
const FLAG = 'harmony-rab-gsab-transfer';

let transfer: Transfer | undefined;
let pinnable: boolean | undefined;

/**
 * Empties an ArrayBuffer. Unlike a transfer with structuredClone, this also works on an untransferable one.
 */
export function detach(buffer: ArrayBuffer): void {
  move(buffer, 0);
}

/** Empties an ArrayBuffer and returns its memory in a new one. Undefined: the program has transferred it. */
export function reclaim(buffer: ArrayBuffer): ArrayBuffer | undefined {
  return move(buffer, buffer.byteLength);
}

/** Empties an ArrayBuffer. Returns a new one of this length, with as much of the memory. */
function move(buffer: ArrayBuffer, length: number): ArrayBuffer | undefined {
  // If it could not be pinned, the program may have transferred it.
  if ((buffer as { detached?: boolean }).detached) return undefined;
  transfer ??= findTransfer();
  return ofThisRealm(transfer.call(buffer, length));
}

/**
 * Keeps the program from transferring an ArrayBuffer, as WebGPU demands for a mapped range. This works where
 * Node lets us empty a pinned buffer. From Node 24 on it does not: a range that the program transfers is
 * lost, with all that was written to it.
 */
export function pin(buffer: ArrayBuffer): void {
  if (canPin()) markAsUntransferable(buffer);
}

/** Whether `pin` does anything on this Node. It is tried once, on a buffer that nobody uses. */
export function canPin(): boolean {
  if (pinnable === undefined) {
    const probe = new ArrayBuffer(1);
    markAsUntransferable(probe);
    try {
      detach(probe);
    } catch {
      // V8 refuses to detach it: the length below tells.
    }
    pinnable = probe.byteLength === 0;
  }
  return pinnable;
}

function findTransfer(): Transfer {
  const own = (ArrayBuffer.prototype as { transfer?: Transfer }).transfer;
  if (own) return own;
  setFlagsFromString(`--${FLAG}`);
  try {
    return runInNewContext('ArrayBuffer.prototype.transfer');
  } finally {
    setFlagsFromString(`--no-${FLAG}`);
  }
}
