import type { GPURenderPipelineDescriptor } from '../../proto/gen/operations.js';
import { ClientResource } from '../session/client-resource.js';
import { defineInterface, defineObjectBase, defineResource, deviceOf, illegal } from './interface.js';
import { requireFormats } from './textures/format-features.js';

/** https://gpuweb.github.io/gpuweb/#gpurenderpipeline */
export class GPURenderPipeline {
  declare label: string;

  constructor() {
    illegal();
  }
}

defineResource<GPURenderPipelineDescriptor<unknown>>('GPURenderPipeline', (device, descriptor) => {
  const targets = descriptor.fragment?.targets ?? [];
  requireFormats(device, 'GPURenderPipelineDescriptor', [
    ...targets.map((target) => target?.format),
    descriptor.depthStencil?.format,
  ]);
  return new ClientResource(device.session, 'GPURenderPipeline', deviceOf(device), descriptor.label);
});
defineObjectBase(GPURenderPipeline, 'GPURenderPipeline');
defineInterface('GPURenderPipeline', GPURenderPipeline);
