import type { GPURenderBundleEncoderDescriptor } from '../../../proto/gen/operations.js';
import { ClientResource } from '../../session/client-resource.js';
import { defineInterface, defineObjectBase, defineResource, deviceOf, illegal } from '../interface.js';
import { requireFormats } from '../textures/format-features.js';
import { setBindGroup, setImmediates } from './pass-encoders.js';

/** https://gpuweb.github.io/gpuweb/#gpurenderbundleencoder */
export class GPURenderBundleEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPURenderBundleEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPURenderBundleEncoder', args);
  }
}

defineResource<GPURenderBundleEncoderDescriptor<unknown>>('GPURenderBundleEncoder', (device, descriptor) => {
  const { colorFormats, depthStencilFormat } = descriptor;
  requireFormats(device, 'GPUDevice.createRenderBundleEncoder', [...colorFormats, depthStencilFormat]);
  return new ClientResource(device.session, 'GPURenderBundleEncoder', deviceOf(device), descriptor.label);
});
defineObjectBase(GPURenderBundleEncoder, 'GPURenderBundleEncoder');
defineInterface('GPURenderBundleEncoder', GPURenderBundleEncoder);
