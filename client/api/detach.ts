import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Transfer = (this: ArrayBuffer, length: number) => ArrayBuffer;

/** On Node 20 V8 has ArrayBuffer.prototype.transfer behind this flag, for contexts made while it is set. */
const FLAG = 'harmony-rab-gsab-transfer';

let transfer: Transfer | undefined;

/**
 * Empties an ArrayBuffer. Unlike a transfer by structuredClone, this works on one that is marked as
 * untransferable.
 */
export function detach(buffer: ArrayBuffer): void {
  transfer ??= findTransfer();
  transfer.call(buffer, 0);
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
