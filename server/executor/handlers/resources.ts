import { invariant } from '../../../proto/errors.js';
import type { FarlightWrittenRange } from '../../../proto/gen/operations.js';
import { GPUMapMode } from '../../../proto/gen/webgpu.js';
import type { Entry } from '../objects/object-table.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

const NOTHING = new Uint8Array(0);

/** The buffer stays mapped here until the client unmaps it, so that using it meanwhile is an error as it should be. */
export function mapAsync(
  context: Context,
  self: Entry,
  [mode, offset, size]: [number, number, number | undefined],
): PendingReply {
  const buffer = self.object as GPUBuffer;
  const length = size ?? Math.max(0, buffer.size - offset);
  const reply = () => {
    if (mode !== GPUMapMode.READ) return NOTHING;
    noteMapped(context, buffer, offset, length);
    return new Uint8Array(buffer.getMappedRange(offset, length));
  };
  const promise = buffer.mapAsync(mode, offset, size);
  invariant(self.device, 'a buffer has a device');
  context.devices.of(self.device).mappings.add(promise);
  return { promise, reply };
}

/** A mapping of bytes that were copied aside. The reply has the bytes only if the client has not received the copy. */
export function mapAhead(context: Context, self: Entry, [offset, size]: [number, number]): PendingReply {
  invariant(self.device, 'a buffer has a device');
  const { asides } = context.devices.of(self.device);
  const brought = asides.latest;
  const buffer = self.object as GPUBuffer;
  const { promise, reply } = mapAsync(context, self, [GPUMapMode.READ, offset, size]);
  asides.mapping(buffer, promise);
  const replyAhead = () => {
    if (!brought.data) return reply?.(undefined as never);
    noteMapped(context, buffer, offset, size);
    return NOTHING;
  };
  return { promise, reply: replyAhead };
}

/** Call it when the buffer is mapped: a mapping that fails leaves the range of an earlier one as it is. */
function noteMapped({ parkable }: Context, buffer: GPUBuffer, offset: number, size: number): void {
  parkable?.mapped.set(buffer, { offset, size });
}

/** The program continues before the mapping's reply. So the next commands wait until the buffer is mapped. */
export function awaitMapping(context: Context, self: Entry): void {
  invariant(self.device, 'a buffer has a device');
  const mapped = context.devices.of(self.device).asides.mapped(self.object as GPUBuffer);
  if (mapped) context.pauseUntil(mapped);
}

/** Dawn throws where the buffer cannot be written. That is one error, and the parts that follow add no other. */
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

export function destroy(context: Context, self: Entry): void {
  context.destroy(self.object as object);
}
