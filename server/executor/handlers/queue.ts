import { invariant } from '../../../proto/errors.js';
import { EXTERNAL_IMAGE_FORMATS } from '../../../proto/external-image.js';
import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { Entry } from '../objects/object-table.js';
import type { Awaited, Context } from './context.js';

/**
 * The mappings that were asked for before are settled before
 * (https://gpuweb.github.io/gpuweb/#promise-ordering), those that fail too, which Dawn tells of later.
 * No call waits fewer turns after the last of what it waits for than one before it, so that calls keep their order.
 */
export function onSubmittedWorkDone(context: Context, self: Entry): Awaited {
  invariant(self.device, 'a queue has a device');
  const done = (self.object as GPUQueue).onSubmittedWorkDone();
  return { promise: Promise.allSettled([done, context.mapped(self.device)]) };
}

export function submit(context: Context, self: Entry, [commandBuffers]: [GPUCommandBuffer[]]): void {
  const { watchdog, turn } = context;
  const queue = self.object as GPUQueue;
  const act = (commands: GPUCommandBuffer[]) => {
    queue.submit(commands);
    context.work.submits += 1;
    watchdog?.submitted(queue);
    context.activity.submitted(queue);
    const done = turn?.submitted(queue);
    if (done) context.pauseUntil(done);
  };
  if (!turn || turn.mine) {
    act(commandBuffers);
    return;
  }
  invariant(self.device, 'a queue has a device');
  // Copied: the command's slots are emptied before its turn comes.
  const commands = [...commandBuffers];
  context.later(self.device, turn.wait(), () => act(commands));
}

export function writeBuffer(
  { uploads }: Context,
  self: Entry,
  [buffer, offset, data]: [GPUBuffer, number, Uint8Array<ArrayBuffer>],
): void {
  if (uploads.isDropped(self)) return;
  const queue = self.object as GPUQueue;
  queue.writeBuffer(buffer, offset, data);
  uploads.wrote(queue, data.length);
}

export function writeTexture(
  { uploads }: Context,
  self: Entry,
  [destination, data, dataLayout, size]: TextureWrite<Uint8Array<ArrayBuffer>>,
): void {
  if (uploads.isDropped(self)) return;
  const queue = self.object as GPUQueue;
  queue.writeTexture(destination, data, dataLayout, size);
  uploads.wrote(queue, data.length);
}

export function beginWriteBuffer(
  context: Context,
  self: Entry,
  [buffer, offset, size, parts]: [GPUBuffer, number, number, number],
): void {
  const queue = self.object as GPUQueue;
  beginWrite(context, self, parts, {
    isWrong:
      offset % 4 !== 0 || size % 4 !== 0 || offset + size > buffer.size || buffer.mapState !== 'unmapped',
    nothing: () => queue.writeBuffer(buffer, 0, new ArrayBuffer(0)),
    whole: () => queue.writeBuffer(buffer, offset, new ArrayBuffer(size)),
  });
}

/** The client announces only writes with which nothing but the texture itself can be wrong. */
export function beginWriteTexture(
  context: Context,
  self: Entry,
  [written, dataSize, dataLayout, size, parts]: [...TextureWrite<number>, number],
): void {
  const queue = self.object as GPUQueue;
  // Copied: the command's slots are emptied before it is known whether this one is needed again.
  const destination = { ...written };
  beginWrite(context, self, parts, {
    isWrong: false,
    nothing: () => queue.writeTexture(destination, new ArrayBuffer(0), {}, [0, 0, 0]),
    whole: () => queue.writeTexture(destination, new ArrayBuffer(dataSize), dataLayout, size),
  });
}

type TextureWrite<Data> = [GPUTexelCopyTextureInfo, Data, GPUTexelCopyBufferLayout, GPUExtent3D];

interface Announced {
  /** Known to fail, by what the implementation says of the destination. */
  isWrong: boolean;
  /** Writes nothing to the destination, which fails where that is no destination. */
  nothing(): void;
  /** Writes the whole, with any bytes: called where that fails. The zeros take no memory until they are read. */
  whole(): void;
}

/**
 * A write that comes in parts is to be one write: where it fails, it fails once, with the message that the whole
 * has, and nothing is written. Whether the destination is valid is known only when a scope of our own around a
 * write of nothing is popped, so what comes after waits for that: about 20 microseconds.
 */
function beginWrite(
  context: Context,
  self: Entry,
  parts: number,
  { isWrong, nothing, whole }: Announced,
): void {
  const owner = self.device;
  invariant(owner, 'a queue has a device');
  const device = owner.object as GPUDevice;
  const fail = () => {
    context.uploads.drop(self, parts);
    whole();
  };
  if (isWrong) {
    fail();
    return;
  }
  device.pushErrorScope('validation');
  nothing();
  const popped = device.popErrorScope();
  context.pauseUntil(popped.then((error) => (error ? context.attempt(owner, fail) : undefined)));
}

/**
 * An external image arrives as texels, so what is left is a write: that refuses all but what only a copy
 * of an image requires of its destination.
 */
export function copyExternalImageToTexture(
  context: Context,
  self: Entry,
  [destination, data, dataLayout, size]: [
    GPUTexelCopyTextureInfo,
    Uint8Array<ArrayBuffer>,
    GPUTexelCopyBufferLayout,
    GPUExtent3D,
  ],
): void {
  const refused = refusal(destination.texture);
  if (refused && self.device) {
    const label = destination.texture.label ? ` '${destination.texture.label}'` : '';
    const message = `GPUQueue.copyExternalImageToTexture: the texture${label} ${refused}.`;
    context.raise(self.device, 'validation', message);
  } else {
    const queue = self.object as GPUQueue;
    queue.writeTexture(destination, data, dataLayout, size);
    context.uploads.wrote(queue, data.length);
  }
}

function refusal({ usage, dimension, sampleCount, format }: GPUTexture): string | undefined {
  const { COPY_DST, RENDER_ATTACHMENT } = GPUTextureUsage;
  const needed = COPY_DST | RENDER_ATTACHMENT;
  if ((usage & needed) !== needed) return 'needs the usages COPY_DST and RENDER_ATTACHMENT';
  if (dimension !== '2d') return `has the dimension ${dimension}, and must have 2d`;
  if (sampleCount !== 1) return `has ${sampleCount} samples, and must have 1`;
  if (!(EXTERNAL_IMAGE_FORMATS as readonly string[]).includes(format)) {
    return `has the format ${format}, to which no image can be copied`;
  }
  return undefined;
}
