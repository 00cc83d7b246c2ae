/**
 * Invalid objects of a device, one of each kind. A command may name an object that is not here: one of another session,
 * or one that the implementation refused by throwing. An invalid object takes its place. So the implementation itself
 * raises the error when the specification says: at once for a create or a submit, at `finish` for encoded commands.
 */
export class InvalidObjects {
  readonly #device: GPUDevice;
  readonly #made = new Map<string, object>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** An invalid object of one of these kinds. */
  get(kinds: readonly string[]): object {
    // Any alternative of a union will do.
    const kind = kinds.find((each) => each in MAKERS) ?? 'GPUBuffer';
    let object = this.#made.get(kind);
    if (!object) {
      // Making it is an error, but not the program's. If the pop rejects, the device is lost, and the session knows.
      this.#device.pushErrorScope('validation');
      object = (MAKERS[kind] as Maker)(this.#device);
      void this.#device.popErrorScope().catch(() => {});
      this.#made.set(kind, object);
    }
    return object;
  }
}

type Maker = (device: GPUDevice) => object;

const LABEL = 'object that is invalid or of another GPU instance';

const MAKERS: Readonly<Record<string, Maker>> = {
  GPUBuffer: (device) => device.createBuffer({ label: LABEL, size: 4, usage: 0 }),
  GPUTexture: texture,
  GPUTextureView: (device) => texture(device).createView({ label: LABEL }),
  GPUSampler: (device) => device.createSampler({ label: LABEL, lodMinClamp: -1 }),
  GPUShaderModule: shaderModule,
  GPUBindGroupLayout: bindGroupLayout,
  GPUPipelineLayout: (device) =>
    device.createPipelineLayout({ label: LABEL, bindGroupLayouts: [bindGroupLayout(device)] }),
  GPUBindGroup: (device) =>
    device.createBindGroup({ label: LABEL, layout: bindGroupLayout(device), entries: [] }),
  GPUComputePipeline: (device) =>
    device.createComputePipeline({ label: LABEL, layout: 'auto', compute: { module: shaderModule(device) } }),
  GPURenderPipeline: (device) =>
    device.createRenderPipeline({ label: LABEL, layout: 'auto', vertex: { module: shaderModule(device) } }),
  GPUQuerySet: (device) => device.createQuerySet({ label: LABEL, type: 'occlusion', count: 2 ** 20 }),
  GPUCommandEncoder: commandEncoder,
  GPUComputePassEncoder: (device) => commandEncoder(device).beginComputePass({ label: LABEL }),
  GPURenderPassEncoder: (device) =>
    commandEncoder(device).beginRenderPass({ label: LABEL, colorAttachments: [] }),
  GPURenderBundleEncoder: renderBundleEncoder,
  GPURenderBundle: (device) => renderBundleEncoder(device).finish({ label: LABEL }),
  GPUCommandBuffer: (device) => commandEncoder(device).finish({ label: LABEL }),
};

function shaderModule(device: GPUDevice): GPUShaderModule {
  return device.createShaderModule({ label: LABEL, code: 'invalid' });
}

function bindGroupLayout(device: GPUDevice): GPUBindGroupLayout {
  const entry = { binding: 0, visibility: 4, buffer: {} };
  return device.createBindGroupLayout({ label: LABEL, entries: [entry, entry] });
}

function texture(device: GPUDevice): GPUTexture {
  return device.createTexture({ label: LABEL, size: [1], format: 'rgba8unorm', usage: 0 });
}

/** An encoder without any attachment is invalid. */
function renderBundleEncoder(device: GPUDevice): GPURenderBundleEncoder {
  return device.createRenderBundleEncoder({ label: LABEL, colorFormats: [] });
}

/** A debug group ends that never began, so the encoder is invalid. */
function commandEncoder(device: GPUDevice): GPUCommandEncoder {
  const encoder = device.createCommandEncoder({ label: LABEL });
  encoder.popDebugGroup();
  return encoder;
}
