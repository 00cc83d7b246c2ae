import { defineInterface, defineObjectBase, illegal } from '../interface.js';
import { setBindGroup, setImmediates } from './pass-encoders.js';

/** https://gpuweb.github.io/gpuweb/#gpurenderpassencoder */
export class GPURenderPassEncoder {
  declare label: string;

  constructor() {
    illegal();
  }

  setBindGroup(...args: unknown[]): undefined {
    setBindGroup(this, 'GPURenderPassEncoder', args);
  }

  setImmediates(...args: unknown[]): undefined {
    setImmediates(this, 'GPURenderPassEncoder', args);
  }
}

defineObjectBase(GPURenderPassEncoder, 'GPURenderPassEncoder');
defineInterface('GPURenderPassEncoder', GPURenderPassEncoder);
