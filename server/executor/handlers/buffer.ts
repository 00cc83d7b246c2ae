import type { FarlightWrittenRange } from '../../../proto/gen/operations.js';
import { GPUMapMode } from '../../../proto/gen/webgpu.js';
import type { Context } from '../context.js';
import type { Entry } from '../objects.js';

const NOTHING = new Uint8Array(0);

/** The buffer stays mapped here until the client unmaps it, so that its use meanwhile is the error it should be. */
export async function mapAsync(
  _context: Context,
  self: Entry,
  [mode, offset, size]: [number, number, number | undefined],
): Promise<Uint8Array> {
  const buffer = self.object as GPUBuffer;
  const length = size ?? Math.max(0, buffer.size - offset);
  await buffer.mapAsync(mode, offset, length);
  return mode === GPUMapMode.READ ? new Uint8Array(buffer.getMappedRange(offset, length)) : NOTHING;
}

export function unmap(_context: Context, self: Entry, [written]: [FarlightWrittenRange<never>[]]): void {
  const buffer = self.object as GPUBuffer;
  for (const { offset, data } of written)
    new Uint8Array(buffer.getMappedRange(offset, data.length)).set(data);
  buffer.unmap();
}
