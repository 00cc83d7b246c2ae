import { describe, expect } from 'vitest';
import { parity } from './fixture.js';

const INDIRECT = 0x100;

/** Dawn's members beyond WebGPU, which TypeScript's declarations lack. */
interface Extended {
  multiDrawIndirect(buffer: GPUBuffer, offset: number, count: number, ...draws: unknown[]): undefined;
  multiDrawIndexedIndirect(buffer: GPUBuffer, offset: number, count: number, ...draws: unknown[]): undefined;
}

describe("Dawn's own members", () => {
  for (const member of ['multiDrawIndirect', 'multiDrawIndexedIndirect'] as const) {
    parity(`${member} without its feature is a validation error`, async ({ device, invalid }) => {
      const texture = device.createTexture({ size: [4, 4], format: 'rgba8unorm', usage: 0x10 });
      const indirect = device.createBuffer({ size: 64, usage: INDIRECT });
      for (const draws of [[], [indirect], [indirect, 4]]) {
        await invalid(() => {
          const encoder = device.createCommandEncoder();
          const pass = encoder.beginRenderPass({
            colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'store' }],
          });
          (pass as unknown as Extended)[member](indirect, 0, 1, ...draws);
          pass.end();
          encoder.finish();
        });
      }
    });
  }

  parity('arguments of Dawn extensions are converted as usual', ({ device }) => {
    const texture = device.createTexture({ size: [4, 4], format: 'rgba8unorm', usage: 0x10 });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'store' }],
    }) as unknown as Record<keyof Extended, (...args: unknown[]) => void>;
    expect(() => pass.multiDrawIndirect()).toThrow(TypeError);
    expect(() => pass.multiDrawIndirect({}, 0, 1)).toThrow(TypeError);
    expect(() => pass.multiDrawIndexedIndirect(undefined, 0, 1)).toThrow(TypeError);
  });
});
