import { defineInterface, defineObjectBase, illegal } from '../interface.js';
import { setBindGroup, setImmediates } from './pass-encoders.js';

/** https://gpuweb.github.io/gpuweb/#gpucomputepassencoder */
export class GPUComputePassEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPUComputePassEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPUComputePassEncoder', args);
  }
}

defineObjectBase(GPUComputePassEncoder, 'GPUComputePassEncoder');
defineInterface('GPUComputePassEncoder', GPUComputePassEncoder);
