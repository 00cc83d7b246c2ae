import type { GPUBindGroupLayoutDescriptor } from '../../proto/gen/operations.js';
import { ClientResource } from '../session/client-resource.js';
import { defineInterface, defineObjectBase, defineResource, deviceOf, illegal } from './interface.js';
import { requireFormats } from './textures/format-features.js';

/** https://gpuweb.github.io/gpuweb/#gpubindgrouplayout */
export class GPUBindGroupLayout {
  declare label: string;

  constructor() {
    illegal();
  }
}

/** Made by a device from a descriptor, or by a pipeline's getBindGroupLayout from an index. */
defineResource<GPUBindGroupLayoutDescriptor<unknown> | number>('GPUBindGroupLayout', (parent, made) => {
  if (typeof made === 'number')
    return new ClientResource(parent.session, 'GPUBindGroupLayout', deviceOf(parent), '');
  const formats = made.entries.map(({ storageTexture }) => storageTexture?.format);
  requireFormats(parent, 'GPUDevice.createBindGroupLayout', formats);
  return new ClientResource(parent.session, 'GPUBindGroupLayout', deviceOf(parent), made.label);
});
defineObjectBase(GPUBindGroupLayout, 'GPUBindGroupLayout');
defineInterface('GPUBindGroupLayout', GPUBindGroupLayout);
