import { invariant } from '../../../proto/errors.js';
import type { FarlightWrittenRange } from '../../../proto/gen/operations.js';
import { GPUMapMode } from '../../../proto/gen/webgpu.js';
import type { Entry } from '../objects/object-table.js';
import type { Awaited, Context } from './context.js';

const NOTHING = new Uint8Array(0);

/** The buffer stays mapped here until the client unmaps it, so that its use meanwhile is the error it should be. */
export function mapAsync(
  context: Context,
  self: Entry,
  [mode, offset, size]: [number, number, number | undefined],
): Awaited {
  const buffer = self.object as GPUBuffer;
  const length = size ?? Math.max(0, buffer.size - offset);
  const reply = () =>
    mode === GPUMapMode.READ ? new Uint8Array(buffer.getMappedRange(offset, length)) : NOTHING;
  const promise = buffer.mapAsync(mode, offset, size);
  invariant(self.device, 'a buffer has a device');
  context.mapping(self.device, promise);
  return { promise, reply };
}

/** Where it cannot be written, Dawn throws, which becomes one error; the parts that follow are the same mistake. */
export function writeMapped(context: Context, self: Entry, [offset, data]: [number, Uint8Array]): void {
  const buffer = self.object as GPUBuffer;
  if (context.uploads.unwritable.has(buffer) || context.uploads.unmade.has(self)) return;
  try {
    new Uint8Array(buffer.getMappedRange(offset, data.length)).set(data);
  } catch (error) {
    context.uploads.unwritable.add(buffer);
    throw error;
  }
}

export function unmap(context: Context, self: Entry, [written]: [FarlightWrittenRange<never>[]]): void {
  const buffer = self.object as GPUBuffer;
  if (context.uploads.unwritable.delete(buffer) || context.uploads.unmade.has(self)) return;
  for (const { offset, data } of written)
    new Uint8Array(buffer.getMappedRange(offset, data.length)).set(data);
  buffer.unmap();
}

export function destroy({ garbage, memory }: Context, self: Entry): void {
  const buffer = self.object as GPUBuffer;
  buffer.destroy();
  garbage.destroyed(buffer);
  memory?.destroyed(buffer);
}
