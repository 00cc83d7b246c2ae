import { OPERATIONS } from '../../proto/gen/operations.js';
import { awaitedCall, defineInterface, defineObjectBase, illegal, localCall, promising } from './define.js';

const operations = OPERATIONS.GPUQueue;

/** https://gpuweb.github.io/gpuweb/#gpuqueue */
export class GPUQueue {
  declare label: string;

  constructor() {
    illegal();
  }

  /** Copies `data` before it returns, from shared memory too. */
  writeBuffer(...args: unknown[]): undefined {
    const queue = localCall(this, 'GPUQueue', 'writeBuffer');
    const [buffer, bufferOffset, data, dataOffset = 0, size] = operations.writeBuffer.convert?.(args) ?? [];
    const bytes = subrange(data as Uint8Array, args[2], dataOffset, size, 'GPUQueue.writeBuffer');
    queue.session.record(operations.writeBuffer, queue, [buffer, bufferOffset, bytes]);
  }

  onSubmittedWorkDone(): Promise<undefined> {
    return promising(() => {
      const queue = awaitedCall(this, 'GPUQueue', 'onSubmittedWorkDone');
      return queue.session.request(operations.onSubmittedWorkDone, queue, [], {
        fulfilled: () => undefined,
        // A queue whose device is lost has nothing left to do: the specification resolves.
        rejected: () => undefined,
      });
    });
  }
}

defineObjectBase(GPUQueue, 'GPUQueue');
defineInterface('GPUQueue', GPUQueue);

/**
 * The part of `data` that `offset` and `size` select, in elements where `source` is a typed array and in
 * bytes otherwise. Throws OperationError where it is outside, or no multiple of 4 bytes long.
 */
export function subrange(
  data: Uint8Array,
  source: unknown,
  offset: number,
  size: number | undefined,
  where: string,
): Uint8Array {
  const unit = (source as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1;
  const start = offset * unit;
  if (start > data.length) throw operationError(`${where}: the data offset ${offset} is beyond the data`);
  const length = size === undefined ? data.length - start : size * unit;
  if (start + length > data.length) throw operationError(`${where}: the data ends before offset + size`);
  if (length % 4 !== 0) throw operationError(`${where}: ${length} bytes are not a multiple of 4`);
  return data.subarray(start, start + length);
}

function operationError(message: string): DOMException {
  return new DOMException(`${message}.`, 'OperationError');
}
