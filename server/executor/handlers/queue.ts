import { invariant } from '../../../proto/errors.js';
import { EXTERNAL_IMAGE_FORMATS } from '../../../proto/external-image.js';
import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { Entry } from '../objects/object-table.js';
import type { PendingReply } from '../wire/reply-writer.js';
import type { Context } from './context.js';

/**
 * Mappings that were asked for earlier settle earlier (https://gpuweb.github.io/gpuweb/#promise-ordering). Dawn tells
 * of failed mappings later, so this waits for them. Every call waits in the same way, so that calls keep their order.
 */
export function onSubmittedWorkDone(context: Context, self: Entry): PendingReply {
  invariant(self.device, 'a queue has a device');
  const done = (self.object as GPUQueue).onSubmittedWorkDone();
  return { promise: Promise.allSettled([done, context.devices.of(self.device).mappings.settled()]) };
}

export function submit(context: Context, self: Entry, [commandBuffers]: [GPUCommandBuffer[]]): void {
  const { turn } = context;
  const queue = self.object as GPUQueue;
  const act = (commands: GPUCommandBuffer[]) => {
    queue.submit(commands);
    context.work.submits += 1;
    context.submitted(queue);
  };
  if (!turn || turn.mine) {
    act(commandBuffers);
    return;
  }
  invariant(self.device, 'a queue has a device');
  // Copied: the command's slots are empty again when its turn comes.
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

/** The client announces a write only if nothing but the texture itself can be wrong. */
export function beginWriteTexture(
  context: Context,
  self: Entry,
  [written, dataSize, dataLayout, size, parts]: [...TextureWrite<number>, number],
): void {
  const queue = self.object as GPUQueue;
  // Copied: the command's slots are empty again when the write turns out to be wrong.
  const destination = { ...written };
  beginWrite(context, self, parts, {
    isWrong: false,
    nothing: () => queue.writeTexture(destination, new ArrayBuffer(0), {}, [0, 0, 0]),
    whole: () => queue.writeTexture(destination, new ArrayBuffer(dataSize), dataLayout, size),
  });
}

type TextureWrite<Data> = [GPUTexelCopyTextureInfo, Data, GPUTexelCopyBufferLayout, GPUExtent3D];

interface Announced {
  /** The destination itself shows that the write fails. */
  isWrong: boolean;
  /** Writes nothing. It fails where the destination is invalid. */
  nothing(): void;
  /** Writes the whole, with zeros, to raise its error. The zeros take no memory until they are read. */
  whole(): void;
}

/**
 * Makes the parts of a long write act as one write. Where it fails, it fails once, with the message of the whole write,
 * and nothing is written. To know whether the destination is valid, this writes nothing to it in an error scope of our
 * own. The commands that come next wait until that scope is popped: about 20 microseconds.
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
 * An external image arrives as texels, so it is written like any texels. A copy of an image requires more of its
 * destination than a write does: that is checked here.
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
  const { texture } = destination;
  const usage = context.parkable?.copyable.usageOf(texture) ?? texture.usage;
  const refused = refusal(texture, usage);
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

function refusal({ dimension, sampleCount, format }: GPUTexture, usage: number): string | undefined {
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
