import { OPERATIONS } from '../../../proto/gen/operations.js';
import { enforceRange, requireArguments, toInterface } from '../../../proto/webidl/converters.js';
import { defineInterface, defineObjectBase, illegal, localCall } from '../interface.js';

/** https://gpuweb.github.io/gpuweb/#gpucommandencoder */
export class GPUCommandEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  /** With up to three arguments it copies from start to start. With more, each buffer has an offset. */
  copyBufferToBuffer(...args: unknown[]): undefined {
    const where = 'GPUCommandEncoder.copyBufferToBuffer';
    const encoder = localCall(this, 'GPUCommandEncoder', 'copyBufferToBuffer');
    requireArguments(args.length, 2, where);
    const [source, sourceOffset, destination, destinationOffset, size] =
      args.length <= 3 ? [args[0], 0, args[1], 0, args[2]] : args;
    const bytes = (value: unknown, name: string) =>
      enforceRange(value, 0, Number.MAX_SAFE_INTEGER, 'unsigned long long', `${where}: ${name}`);
    const converted = [
      toInterface(source, 'GPUBuffer', `${where}: source`),
      bytes(sourceOffset, 'sourceOffset'),
      toInterface(destination, 'GPUBuffer', `${where}: destination`),
      bytes(destinationOffset, 'destinationOffset'),
      size === undefined ? undefined : bytes(size, 'size'),
    ];
    encoder.session.record(OPERATIONS.GPUCommandEncoder.copyBufferToBuffer, encoder, converted);
  }
}

defineObjectBase(GPUCommandEncoder, 'GPUCommandEncoder');
defineInterface('GPUCommandEncoder', GPUCommandEncoder);
