import type { FarlightCompilationMessage } from '../../../proto/gen/operations.js';
import type { Context } from '../context.js';
import type { Entry } from '../objects.js';

export async function getCompilationInfo(
  _context: Context,
  self: Entry,
): Promise<FarlightCompilationMessage<never>[]> {
  const { messages } = await (self.object as GPUShaderModule).getCompilationInfo();
  return [...messages].map(({ message, type, lineNum, linePos, offset, length }) => ({
    message,
    type,
    lineNum,
    linePos,
    offset,
    length,
  }));
}
