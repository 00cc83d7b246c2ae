import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { markAsUntransferable } from 'node:worker_threads';
import { ofThisRealm } from '../../../proto/wire/memory.js';

type Transfer = (this: ArrayBuffer, length: number) => ArrayBuffer;

/** On Node 20 V8 has ArrayBuffer.prototype.transfer behind this flag, for contexts made while it is set. */
const FLAG = 'harmony-rab-gsab-transfer';

let transfer: Transfer | undefined;
let pinnable: boolean | undefined;

/**
 * Empties an ArrayBuffer. Unlike a transfer by structuredClone, this works on one that is marked as
 * untransferable.
 */
export function detach(buffer: ArrayBuffer): void {
  move(buffer, 0);
}

/** Empties an ArrayBuffer, and gives its memory to the caller: undefined where the program has it. */
export function reclaim(buffer: ArrayBuffer): ArrayBuffer | undefined {
  return move(buffer, buffer.byteLength);
}

/** Empties an ArrayBuffer; returns one of that length, with as much of its memory. */
function move(buffer: ArrayBuffer, length: number): ArrayBuffer | undefined {
  // Where it could not be pinned, the program may have transferred it.
  if ((buffer as { detached?: boolean }).detached) return undefined;
  transfer ??= findTransfer();
  return ofThisRealm(transfer.call(buffer, length));
}

/**
 * Keeps the program from transferring an ArrayBuffer away, as WebGPU wants for a mapped range, where this
 * Node lets a pinned one be emptied all the same. From Node 24 on it does not: there a range that the
 * program transfers is gone, and what was written to it.
 */
export function pin(buffer: ArrayBuffer): void {
  if (canPin()) markAsUntransferable(buffer);
}

/** Whether `pin` does anything on this Node: tried once, on a buffer that nobody misses. */
export function canPin(): boolean {
  if (pinnable === undefined) {
    const probe = new ArrayBuffer(1);
    markAsUntransferable(probe);
    try {
      detach(probe);
    } catch {
      // V8 refuses to detach it: answered below.
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
