/**
 * Interfaces with no members of their own but `label` and regular rows of the surface: their behavior follows
 * from the IDL.
 */
import type {
  GPUBindGroupLayoutDescriptor,
  GPURenderPipelineDescriptor,
} from '../../proto/gen/operations.js';
import { ClientResource } from '../session/client-resource.js';
import { defineInterface, defineObjectBase, defineResource, deviceOf, illegal } from './interface.js';
import { requireFormats } from './textures/format-features.js';

class PlainObject {
  declare label: string;

  constructor() {
    illegal();
  }
}

export class GPUBindGroup extends PlainObject {}
export class GPUBindGroupLayout extends PlainObject {}
export class GPUCommandBuffer extends PlainObject {}
export class GPUComputePipeline extends PlainObject {}
export class GPUExternalTexture extends PlainObject {}
export class GPUPipelineLayout extends PlainObject {}
export class GPURenderBundle extends PlainObject {}
export class GPURenderPipeline extends PlainObject {}
export class GPUSampler extends PlainObject {}
export class GPUTextureView extends PlainObject {}

const interfaces = {
  GPUBindGroup,
  GPUBindGroupLayout,
  GPUCommandBuffer,
  GPUComputePipeline,
  GPUExternalTexture,
  GPUPipelineLayout,
  GPURenderBundle,
  GPURenderPipeline,
  GPUSampler,
  GPUTextureView,
};

for (const [name, interfaceClass] of Object.entries(interfaces)) {
  // GPUObjectBase is a mixin: its members belong to each interface, and no class stands between.
  Object.setPrototypeOf(interfaceClass.prototype, Object.prototype);
  defineObjectBase(interfaceClass, name);
  defineInterface(name, interfaceClass);
}

/** A device makes a layout from a descriptor, and a pipeline's getBindGroupLayout from an index. */
defineResource<GPUBindGroupLayoutDescriptor<unknown> | number>('GPUBindGroupLayout', (parent, made) => {
  if (typeof made === 'number')
    return new ClientResource(parent.session, 'GPUBindGroupLayout', deviceOf(parent), '');
  const formats = made.entries.map(({ storageTexture }) => storageTexture?.format);
  requireFormats(parent, 'GPUDevice.createBindGroupLayout', formats);
  return new ClientResource(parent.session, 'GPUBindGroupLayout', deviceOf(parent), made.label);
});

defineResource<GPURenderPipelineDescriptor<unknown>>('GPURenderPipeline', (device, descriptor) => {
  const targets = descriptor.fragment?.targets ?? [];
  requireFormats(device, 'GPURenderPipelineDescriptor', [
    ...targets.map((target) => target?.format),
    descriptor.depthStencil?.format,
  ]);
  return new ClientResource(device.session, 'GPURenderPipeline', deviceOf(device), descriptor.label);
});
