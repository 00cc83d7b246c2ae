import type { GPUTextureDescriptor, GPUTextureViewDescriptor } from '../../../proto/gen/operations.js';
import { extent } from '../../../proto/texture-size.js';
import { ClientResource } from '../../session/client-resource.js';
import type { DeviceResource } from '../device/device-resource.js';
import {
  defineInterface,
  defineObjectBase,
  defineResource,
  deviceOf,
  illegal,
  receiver,
} from '../interface.js';
import { requireFormats } from './format-features.js';

/** The client's state of a texture: its descriptor, which never changes. */
export class TextureResource extends ClientResource {
  readonly descriptor: GPUTextureDescriptor<unknown>;
  readonly size: readonly [width: number, height: number, depthOrArrayLayers: number];

  constructor(device: ClientResource, descriptor: GPUTextureDescriptor<unknown>) {
    super(device.session, 'GPUTexture', deviceOf(device), descriptor.label);
    this.descriptor = descriptor;
    this.size = extent(descriptor.size);
  }

  /** Only a device without core features and limits restricts how a texture is bound. */
  get bindingViewDimension(): GPUTextureViewDimension | undefined {
    if ((this.device as DeviceResource).features.has('core-features-and-limits')) return undefined;
    const { dimension, textureBindingViewDimension } = this.descriptor;
    if (textureBindingViewDimension !== undefined || dimension !== '2d')
      return textureBindingViewDimension ?? dimension;
    return this.size[2] > 1 ? '2d-array' : '2d';
  }
}

/** https://gpuweb.github.io/gpuweb/#gputexture */
export class GPUTexture {
  declare label: string;

  constructor() {
    illegal();
  }

  get width(): number {
    return textureOf(this, 'width').size[0];
  }

  get height(): number {
    return textureOf(this, 'height').size[1];
  }

  get depthOrArrayLayers(): number {
    return textureOf(this, 'depthOrArrayLayers').size[2];
  }

  get mipLevelCount(): number {
    return textureOf(this, 'mipLevelCount').descriptor.mipLevelCount;
  }

  get sampleCount(): number {
    return textureOf(this, 'sampleCount').descriptor.sampleCount;
  }

  get dimension(): GPUTextureDimension {
    return textureOf(this, 'dimension').descriptor.dimension;
  }

  get format(): string {
    return textureOf(this, 'format').descriptor.format;
  }

  get usage(): number {
    return textureOf(this, 'usage').descriptor.usage;
  }

  get textureBindingViewDimension(): GPUTextureViewDimension | undefined {
    return textureOf(this, 'textureBindingViewDimension').bindingViewDimension;
  }
}

defineResource<GPUTextureDescriptor<unknown>>('GPUTexture', (device, descriptor) => {
  requireFormats(device, 'GPUDevice.createTexture', [descriptor.format, ...descriptor.viewFormats]);
  return new TextureResource(device, descriptor);
});

defineResource<GPUTextureViewDescriptor<unknown>>('GPUTextureView', (texture, descriptor) => {
  requireFormats(texture, 'GPUTexture.createView', [descriptor.format]);
  if (!/^[rgba01]{4}$/.test(descriptor.swizzle)) {
    throw new TypeError(
      `GPUTexture.createView: the swizzle '${descriptor.swizzle}' must be four of the characters r, g, b, a, 0 and 1`,
    );
  }
  return new ClientResource(texture.session, 'GPUTextureView', deviceOf(texture), descriptor.label);
});

defineObjectBase(GPUTexture, 'GPUTexture');
defineInterface('GPUTexture', GPUTexture);

function textureOf(self: unknown, member: string): TextureResource {
  return receiver(self, 'GPUTexture', member) as TextureResource;
}
