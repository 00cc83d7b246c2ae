import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';

type Maker = (device: GPUDevice) => object;

/** Objects that record commands and are used up, one of each kind: whatever the program still does with one is an error. */
const MAKERS: Readonly<Record<string, Maker>> = {
  GPUCommandEncoder: (device) => {
    const encoder = device.createCommandEncoder();
    encoder.finish();
    return encoder;
  },
  GPUComputePassEncoder: (device) => {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.end();
    encoder.finish();
    return pass;
  },
  GPURenderPassEncoder: (device) => {
    const texture = device.createTexture({
      size: [1],
      format: 'rgba8unorm',
      usage: GPUTextureUsage.RENDER_ATTACHMENT,
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginRenderPass({
      colorAttachments: [{ view: texture.createView(), loadOp: 'clear', storeOp: 'discard' }],
    });
    pass.end();
    encoder.finish();
    texture.destroy();
    return pass;
  },
  GPUCommandBuffer: (device) => {
    const commands = device.createCommandEncoder().finish();
    device.queue.submit([commands]);
    return commands;
  },
};

/** Makes used up objects of one device. Handles share them, since each can do the same: nothing. */
export class SpentObjects {
  readonly #device: GPUDevice;
  readonly #made = new Map<string, object>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  get(kind: string): object {
    const made = this.#made.get(kind) ?? (MAKERS[kind] as Maker)(this.#device);
    this.#made.set(kind, made);
    return made;
  }
}
