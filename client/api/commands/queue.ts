import { native } from '../../../link/machine/globals.js';
import { type GPUCopyExternalImageSourceInfo, OPERATIONS } from '../../../proto/gen/operations.js';
import { extent } from '../../../proto/texture-size.js';
import { PART_BYTES } from '../../../proto/wire/limits.js';
import type { AnyOperation } from '../../../proto/wire/operation.js';
import type { ClientResource } from '../../session/client-resource.js';
import { partsOf } from '../../session/parts.js';
import {
  awaitedCall,
  defineInterface,
  defineObjectBase,
  illegal,
  localCall,
  promising,
} from '../interface.js';
import { encodeImage, type ImagePart } from '../textures/external-image.js';
import { withReadable } from '../textures/page-image.js';
import type { TextureResource } from '../textures/texture.js';
import { textureParts } from '../textures/write-parts.js';

const operations = OPERATIONS.GPUQueue;

/** https://gpuweb.github.io/gpuweb/#gpuqueue */
export class GPUQueue {
  declare label: string;

  constructor() {
    illegal();
  }

  /** Copies `data` before it returns, also from shared memory. */
  writeBuffer(...args: unknown[]): undefined {
    const queue = localCall(this, 'GPUQueue', 'writeBuffer');
    const [buffer, bufferOffset, data, dataOffset = 0, size] = operations.writeBuffer.convert?.(args) ?? [];
    const bytes = subrange(data as Uint8Array, args[2], dataOffset, size, 'GPUQueue.writeBuffer');
    if (bytes.length <= PART_BYTES) {
      queue.session.record(operations.writeBuffer, queue, [buffer, bufferOffset, bytes]);
      return;
    }
    const whole = { length: bytes.length };
    const parts = partsOf(bytes);
    queue.session.record(operations.beginWriteBuffer, queue, [
      buffer,
      bufferOffset,
      bytes.length,
      parts.length,
    ]);
    const nothing = [buffer, bufferOffset, NO_BYTES];
    sendParts(queue, operations.writeBuffer, parts, nothing, ({ offset, data: part }) => {
      const write = [buffer, (bufferOffset as number) + offset, part];
      queue.session.recordPart(operations.writeBuffer, queue, write, part, whole);
    });
  }

  /** Copies `data` before it returns, also from shared memory. */
  writeTexture(...args: unknown[]): undefined {
    const queue = localCall(this, 'GPUQueue', 'writeTexture');
    const converted = operations.writeTexture.convert?.(args);
    if (!converted) return;
    const [destination, data, layout, size] = converted;
    const texture = destination.texture as TextureResource;
    const parts = textureParts(texture, destination, data, layout, extent(size));
    if (!parts) {
      queue.session.record(operations.writeTexture, queue, converted);
      return;
    }
    const whole = { length: data.length };
    queue.session.record(operations.beginWriteTexture, queue, [
      destination,
      data.length,
      layout,
      size,
      parts.length,
    ]);
    const nothing = [destination, NO_BYTES, { offset: 0 }, [0, 0, 0]];
    sendParts(queue, operations.writeTexture, parts, nothing, (part) => {
      const write = [{ ...destination, origin: part.origin }, part.data, part.layout, part.size];
      queue.session.recordPart(operations.writeTexture, queue, write, part.data, whole);
    });
  }

  /** Outside a page, ImageData is the only one of the specification's sources that can exist. */
  copyExternalImageToTexture(...args: unknown[]): undefined {
    const operation = operations.copyExternalImageToTexture;
    const queue = localCall(this, 'GPUQueue', 'copyExternalImageToTexture');
    const [source, destination, copySize] =
      operation.convert?.(args.map((arg, at) => (at === 0 ? withReadable(arg) : arg))) ?? [];
    if (!source || !destination || !copySize) return;
    const part = imagePart(source, extent(copySize));
    const { format } = (destination.texture as TextureResource).descriptor;
    const { data, bytesPerRow } = encodeImage(part, { ...destination, format }) ?? NOTHING;
    const layout = { offset: 0, bytesPerRow, rowsPerImage: part.height };
    queue.session.record(operation, queue, [destination, data, layout, copySize]);
  }

  onSubmittedWorkDone(): Promise<undefined> {
    return promising(() => {
      const queue = awaitedCall(this, 'GPUQueue', 'onSubmittedWorkDone');
      return queue.session.request(operations.onSubmittedWorkDone, queue, [], {
        fulfilled: () => undefined,
        // The queue of a lost device has no work left: the specification resolves.
        rejected: () => undefined,
      });
    });
  }
}

defineObjectBase(GPUQueue, 'GPUQueue');
defineInterface('GPUQueue', GPUQueue);

const NO_BYTES = new Uint8Array(0);
const NOTHING = { data: NO_BYTES, bytesPerRow: 0 };

/**
 * Sends the parts that were announced. If there is no memory for one, the rest go without bytes. The host
 * counts the parts of a failed write, and would take the program's next writes for the missing ones.
 */
function sendParts<Part>(
  queue: ClientResource,
  operation: AnyOperation,
  parts: readonly Part[],
  nothing: unknown[],
  send: (part: Part) => void,
): void {
  let sent = 0;
  try {
    for (; sent < parts.length; sent += 1) send(parts[sent] as Part);
  } catch (error) {
    queue.session.certainly(() => {
      for (; sent < parts.length; sent += 1) queue.session.record(operation, queue, nothing);
    });
    throw error;
  }
}

/** Throws OperationError if the part is not inside the image. */
function imagePart(
  { source: image, origin, flipY }: GPUCopyExternalImageSourceInfo<unknown>,
  [width, height, layers]: readonly [number, number, number],
): ImagePart {
  const [x = 0, y = 0] = Array.isArray(origin) ? origin : [origin.x, origin.y];
  const where = 'GPUQueue.copyExternalImageToTexture';
  if (layers > 1) throw operationError(`${where}: an image has 1 layer, not ${layers}`);
  if (x + width > image.width || y + height > image.height) {
    throw operationError(
      `${where}: ${width} x ${height} pixels from ${x}, ${y} are not inside an image of ${image.width} x ${image.height}`,
    );
  }
  return { image, x, y, width, height, flipY };
}

/**
 * Selects a part of `data`. `offset` and `size` count elements if `source` is a typed array, else bytes.
 * Throws OperationError if the part is outside, or if its length in bytes is no multiple of 4.
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
  return new native.DOMException(`${message}.`, 'OperationError');
}
