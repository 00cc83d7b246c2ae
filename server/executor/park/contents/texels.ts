import { GPUBufferUsage, GPUTextureUsage } from '../../../../proto/gen/webgpu.js';
import type { ShaderPiece } from './pieces.js';
import { bytesOfTexel, texelWords, WORD_BYTES } from './texel-words.js';

/** The most invocations of a workgroup that each device offers, in one dimension. */
const GROUP = 64;
/** Rows, columns and the first row of a piece, as the shaders get them. */
const PLACE_BYTES = 16;

/** Reads and fills textures by shaders, on one device. */
export class Texels {
  readonly #device: GPUDevice;
  /** By format and samples. */
  readonly #readers = new Map<string, GPUComputePipeline>();
  readonly #writers = new Map<string, GPURenderPipeline>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Reads a piece into `target`, from `at` on. @returns what to destroy after the submit. */
  read(
    encoder: GPUCommandEncoder,
    texture: GPUTexture,
    piece: ShaderPiece,
    target: GPUBuffer,
    at: number,
  ): GPUBuffer[] {
    const { STORAGE, COPY_SRC } = GPUBufferUsage;
    const words = this.#device.createBuffer({ size: piece.bytes, usage: STORAGE | COPY_SRC });
    const place = this.#place(piece);
    const pipeline = this.#reader(texture);
    const view = viewOf(texture, piece, 'TEXTURE_BINDING');
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#group(pipeline, [view, { buffer: words }, { buffer: place }]));
    pass.dispatchWorkgroups(Math.ceil(piece.width / GROUP), piece.rows, texture.sampleCount);
    pass.end();
    encoder.copyBufferToBuffer(words, 0, target, at, piece.bytes);
    return [words, place];
  }

  /** Writes a piece. */
  write(texture: GPUTexture, piece: ShaderPiece, bytes: Uint8Array<ArrayBuffer>): void {
    const { STORAGE, COPY_DST } = GPUBufferUsage;
    const { queue } = this.#device;
    const words = this.#device.createBuffer({ size: piece.bytes, usage: STORAGE | COPY_DST });
    queue.writeBuffer(words, 0, bytes);
    const place = this.#place(piece);
    const pipeline = this.#writer(texture);
    const view = viewOf(texture, piece, 'RENDER_ATTACHMENT');
    const encoder = this.#device.createCommandEncoder();
    const pass = encoder.beginRenderPass(attachment(texture, view));
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, this.#group(pipeline, [{ buffer: words }, { buffer: place }]));
    pass.setScissorRect(0, piece.y, piece.width, piece.rows);
    pass.draw(3);
    pass.end();
    queue.submit([encoder.finish()]);
    words.destroy();
    place.destroy();
  }

  #place({ width, y, rows }: ShaderPiece): GPUBuffer {
    const { UNIFORM } = GPUBufferUsage;
    const buffer = this.#device.createBuffer({ size: PLACE_BYTES, usage: UNIFORM, mappedAtCreation: true });
    new Uint32Array(buffer.getMappedRange()).set([width, y, rows]);
    buffer.unmap();
    return buffer;
  }

  #group(
    pipeline: GPUComputePipeline | GPURenderPipeline,
    resources: readonly GPUBindingResource[],
  ): GPUBindGroup {
    const entries = resources.map((resource, binding) => ({ binding, resource }));
    return this.#device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  }

  #reader({ format, sampleCount }: GPUTexture): GPUComputePipeline {
    const key = `${format} ${sampleCount}`;
    const pipeline =
      this.#readers.get(key) ??
      this.#device.createComputePipeline({
        layout: 'auto',
        compute: { module: this.#device.createShaderModule({ code: readShader(format, sampleCount) }) },
      });
    this.#readers.set(key, pipeline);
    return pipeline;
  }

  #writer({ format, sampleCount }: GPUTexture): GPURenderPipeline {
    const key = `${format} ${sampleCount}`;
    const made = this.#writers.get(key);
    if (made) return made;
    const module = this.#device.createShaderModule({ code: writeShader(format, sampleCount) });
    const { isDepth } = texelWords(format);
    const pipeline = this.#device.createRenderPipeline({
      layout: 'auto',
      vertex: { module },
      fragment: { module, targets: isDepth ? [] : [{ format }] },
      multisample: { count: sampleCount },
      ...(isDepth && { depthStencil: { format, depthWriteEnabled: true, depthCompare: 'always' } }),
    });
    this.#writers.set(key, pipeline);
    return pipeline;
  }
}

/** A view of the piece's level and layer. As an attachment it has both depth and stencil, where the format has both. */
function viewOf(
  texture: GPUTexture,
  { mipLevel, layer }: ShaderPiece,
  use: 'TEXTURE_BINDING' | 'RENDER_ATTACHMENT',
): GPUTextureView {
  const { isDepth } = texelWords(texture.format);
  return texture.createView({
    dimension: '2d',
    aspect: isDepth && use === 'TEXTURE_BINDING' ? 'depth-only' : 'all',
    baseMipLevel: mipLevel,
    mipLevelCount: 1,
    baseArrayLayer: layer,
    arrayLayerCount: 1,
    usage: GPUTextureUsage[use],
  });
}

function attachment({ format }: GPUTexture, view: GPUTextureView): GPURenderPassDescriptor {
  if (!texelWords(format).isDepth) return { colorAttachments: [{ view, loadOp: 'load', storeOp: 'store' }] };
  const stencil = format.includes('stencil') && { stencilReadOnly: true };
  return {
    colorAttachments: [],
    depthStencilAttachment: { view, depthLoadOp: 'load', depthStoreOp: 'store', ...stencil },
  };
}

const PLACE = `
  struct Place { width: u32, y: u32, rows: u32 }
  fn at(place: Place, x: u32, row: u32, sample_: u32) -> u32 {
    return ((row * place.width + x) * SAMPLES + sample_) * WORDS;
  }
`;

function constants(format: string, samples: number): string {
  return `const SAMPLES = ${samples}u; const WORDS = ${bytesOfTexel(format) / WORD_BYTES}u; ${PLACE}`;
}

/** Writes each sample's values, as a shader of the program reads them. */
function readShader(format: string, samples: number): string {
  const { type, components, isPacked } = texelWords(format);
  const each = Array.from(
    { length: components },
    (_, at) => `words[first + ${at}] = bitcast<u32>(texel[${at}]);`,
  );
  return `
    ${constants(format, samples)}
    @group(0) @binding(0) var texels: texture_${samples > 1 ? 'multisampled_' : ''}2d<${type}>;
    @group(0) @binding(1) var<storage, read_write> words: array<u32>;
    @group(0) @binding(2) var<uniform> place: Place;
    @compute @workgroup_size(${GROUP}) fn read(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= place.width) { return; }
      let texel = textureLoad(texels, vec2u(id.x, place.y + id.y), id.z);
      let first = at(place, id.x, id.y, id.z);
      ${isPacked ? 'words[first] = pack4x8unorm(texel);' : each.join(' ')}
    }
  `;
}

/** Draws over the whole texture, and runs once for each sample. The scissor leaves the piece. */
function writeShader(format: string, samples: number): string {
  const { type, components, isPacked, isDepth } = texelWords(format);
  const each = Array.from(
    { length: components },
    (_, at) => `texel[${at}] = bitcast<${type}>(words[first + ${at}]);`,
  );
  return `
    ${constants(format, samples)}
    @group(0) @binding(0) var<storage, read> words: array<u32>;
    @group(0) @binding(1) var<uniform> place: Place;
    @vertex fn cover(@builtin(vertex_index) corner: u32) -> @builtin(position) vec4f {
      return vec4f(f32(corner & 1) * 4 - 1, f32(corner >> 1) * 4 - 1, 0, 1);
    }
    @fragment fn write(
      @builtin(position) position: vec4f, @builtin(sample_index) sample_: u32,
    ) -> ${isDepth ? '@builtin(frag_depth) f32' : `@location(0) vec4<${type}>`} {
      let first = at(place, u32(position.x), u32(position.y) - place.y, sample_);
      var texel = vec4<${type}>();
      ${isPacked ? 'texel = unpack4x8unorm(words[first]);' : each.join(' ')}
      return texel${isDepth ? '.x' : ''};
    }
  `;
}
