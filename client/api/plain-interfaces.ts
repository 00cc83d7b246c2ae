/**
 * The interfaces whose own members are none but `label`, or regular rows of the surface: what they do
 * follows from the IDL alone.
 */
import { defineInterface, defineObjectBase, illegal } from './interface.js';

class Opaque {
  declare label: string;

  constructor() {
    illegal();
  }
}

export class GPUBindGroup extends Opaque {}
export class GPUCommandBuffer extends Opaque {}
export class GPUComputePipeline extends Opaque {}
export class GPUExternalTexture extends Opaque {}
export class GPUPipelineLayout extends Opaque {}
export class GPURenderBundle extends Opaque {}
export class GPUSampler extends Opaque {}
export class GPUTextureView extends Opaque {}

const interfaces = {
  GPUBindGroup,
  GPUCommandBuffer,
  GPUComputePipeline,
  GPUExternalTexture,
  GPUPipelineLayout,
  GPURenderBundle,
  GPUSampler,
  GPUTextureView,
};

for (const [name, interfaceClass] of Object.entries(interfaces)) {
  // GPUObjectBase is a mixin: its members are the interface's own, and no class stands in between.
  Object.setPrototypeOf(interfaceClass.prototype, Object.prototype);
  defineObjectBase(interfaceClass, name);
  defineInterface(name, interfaceClass);
}
