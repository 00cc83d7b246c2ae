import type { FarlightCompilationMessage } from '../../../proto/gen/operations.js';
import type { Entry } from '../objects/object-table.js';
import type { Awaited, Context } from './context.js';

export function getCompilationInfo(_context: Context, self: Entry): Awaited {
  const reply = ({ messages }: GPUCompilationInfo): FarlightCompilationMessage<never>[] =>
    [...messages].map(({ message, type, lineNum, linePos, offset, length }) => ({
      message,
      type,
      lineNum,
      linePos,
      offset,
      length,
    }));
  return { promise: (self.object as GPUShaderModule).getCompilationInfo(), reply };
}
