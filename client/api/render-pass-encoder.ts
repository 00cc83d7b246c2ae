import { setBindGroup, setImmediates } from './binding-commands.js';
import { defineInterface, defineObjectBase, illegal } from './define.js';

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
