import { EXTERNAL_IMAGE_FORMATS } from '../../../proto/external-image.js';
import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import type { Context } from '../context.js';
import type { Entry } from '../objects.js';

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
