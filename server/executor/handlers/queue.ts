import { invariant } from '../../../proto/errors.js';
import { EXTERNAL_IMAGE_FORMATS } from '../../../proto/external-image.js';
import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { Awaited, Context } from '../context.js';
import type { Entry } from '../objects.js';

/**
 * The mappings that were asked for before are settled before
 * (https://gpuweb.github.io/gpuweb/#promise-ordering), those that fail too, which Dawn tells of later.
 * Each call waits the same number of turns after the last of what it waits for, so that calls keep their order.
 */
export function onSubmittedWorkDone(context: Context, self: Entry): Awaited {
  invariant(self.device, 'a queue has a device');
  const done = (self.object as GPUQueue).onSubmittedWorkDone();
  return { promise: Promise.allSettled([done, ...context.mappings(self.device)]) };
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
    (self.object as GPUQueue).writeTexture(destination, data, dataLayout, size);
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
