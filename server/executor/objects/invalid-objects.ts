/**
 * Invalid objects of a device. A command may name an object that is not here: one of another session,
 * or one that the implementation refused by throwing. An invalid object takes its place. So the implementation itself
 * raises the error when the specification says: at once for a create or a submit, at `finish` for encoded commands.
 */
export class InvalidObjects {
  readonly #device: GPUDevice;
  readonly #made = new Map<string, object>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** An invalid object of one of these kinds. There is one of each kind. */
  get(kinds: readonly string[]): object {
    // Any alternative of a union will do.
    const kind = kinds.find((each) => each in MAKERS) ?? 'GPUBuffer';
    let object = this.#made.get(kind);
    if (!object) {
      object = this.make(kind, LABEL);
      this.#made.set(kind, object);
    }
    return object;
  }

  /** A new invalid object. Messages of errors name its label. */
  make(kind: string, label: string): object {
    // Making it is an error, but not the program's. If the pop rejects, the device is lost, and the session knows.
    this.#device.pushErrorScope('validation');
    const object = (MAKERS[kind] as Maker)(this.#device, label);
    void this.#device.popErrorScope().catch(() => {});
    return object;
  }
}

type Maker = (device: GPUDevice, label: string) => object;

const LABEL = 'object that is invalid or of another GPU instance';

const MAKERS: Readonly<Record<string, Maker>> = {
  GPUBuffer: (device, label) => device.createBuffer({ label, size: 4, usage: 0 }),
  GPUTexture: texture,
  GPUTextureView: (device, label) => texture(device, label).createView({ label }),
  GPUSampler: (device, label) => device.createSampler({ label, lodMinClamp: -1 }),
  GPUShaderModule: shaderModule,
  GPUBindGroupLayout: bindGroupLayout,
  GPUPipelineLayout: (device, label) =>
    device.createPipelineLayout({ label, bindGroupLayouts: [bindGroupLayout(device, label)] }),
  GPUBindGroup: (device, label) =>
    device.createBindGroup({ label, layout: bindGroupLayout(device, label), entries: [] }),
  GPUComputePipeline: (device, label) =>
    device.createComputePipeline({ label, layout: 'auto', compute: { module: shaderModule(device, label) } }),
  GPURenderPipeline: (device, label) =>
    device.createRenderPipeline({ label, layout: 'auto', vertex: { module: shaderModule(device, label) } }),
  GPUQuerySet: (device, label) => device.createQuerySet({ label, type: 'occlusion', count: 2 ** 20 }),
  GPUCommandEncoder: commandEncoder,
  GPUComputePassEncoder: (device, label) => commandEncoder(device, label).beginComputePass({ label }),
  GPURenderPassEncoder: (device, label) =>
    commandEncoder(device, label).beginRenderPass({ label, colorAttachments: [] }),
  GPURenderBundleEncoder: renderBundleEncoder,
  GPURenderBundle: (device, label) => renderBundleEncoder(device, label).finish({ label }),
  GPUCommandBuffer: (device, label) => commandEncoder(device, label).finish({ label }),
};

function shaderModule(device: GPUDevice, label: string): GPUShaderModule {
  return device.createShaderModule({ label, code: 'invalid' });
}

function bindGroupLayout(device: GPUDevice, label: string): GPUBindGroupLayout {
  const entry = { binding: 0, visibility: 4, buffer: {} };
  return device.createBindGroupLayout({ label, entries: [entry, entry] });
}

function texture(device: GPUDevice, label: string): GPUTexture {
  return device.createTexture({ label, size: [1], format: 'rgba8unorm', usage: 0 });
}

/** An encoder without any attachment is invalid. */
function renderBundleEncoder(device: GPUDevice, label: string): GPURenderBundleEncoder {
  return device.createRenderBundleEncoder({ label, colorFormats: [] });
}

/** A debug group ends that never began, so the encoder is invalid. */
function commandEncoder(device: GPUDevice, label: string): GPUCommandEncoder {
  const encoder = device.createCommandEncoder({ label });
  encoder.popDebugGroup();
  return encoder;
}
