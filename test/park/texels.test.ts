import { describe, expect, it } from 'vitest';
import { GPUBufferUsage, GPUTextureUsage } from '#farlight/proto/gen/webgpu.js';
import { parkingHosts, readWords } from '../support/hosts/parking-host.js';

const { start } = parkingHosts();

const { RENDER_ATTACHMENT, TEXTURE_BINDING } = GPUTextureUsage;
const SIZE = [61, 37] as const;

type Form = Pick<GPUTextureDescriptor, 'format' | 'sampleCount' | 'mipLevelCount'> & { layers?: number };

const isDepth = ({ format }: Form) => format.startsWith('depth');
const typeOf = ({ format }: Form) =>
  format.includes('uint') ? 'u32' : format.includes('sint') ? 'i32' : 'f32';

/** Draws another value into each sample of each level and layer. */
function draw(device: GPUDevice, texture: GPUTexture, form: Form): void {
  const type = typeOf(form);
  const value =
    type === 'f32'
      ? 'vec4f(vec4u(n, n >> 8, n >> 16, n >> 4) & vec4u(255)) / 255'
      : `vec4<${type}>(vec4u(n, n >> 8, n >> 3, n >> 5) & vec4u(63))`;
  const code = `
    @vertex fn cover(@builtin(vertex_index) at: u32) -> @builtin(position) vec4f {
      return vec4f(f32(at & 1) * 4 - 1, f32(at >> 1) * 4 - 1, 0, 1);
    }
    @fragment fn paint(@builtin(position) p: vec4f, @builtin(sample_index) s: u32) -> ${isDepth(form) ? '@builtin(frag_depth) f32' : `@location(0) vec4<${type}>`} {
      let n = (u32(p.x) * 7919 + u32(p.y) * 104729 + s * 1299709 + 1) * 2654435761;
      ${isDepth(form) ? 'return f32(n >> 8) / 16777216;' : `return ${value};`}
    }
  `;
  const module = device.createShaderModule({ code });
  const { format } = texture;
  const pipeline = device.createRenderPipeline({
    layout: 'auto',
    vertex: { module },
    fragment: { module, targets: isDepth(form) ? [] : [{ format }] },
    multisample: { count: texture.sampleCount },
    ...(isDepth(form) && {
      depthStencil: { format, depthWriteEnabled: true, depthCompare: 'always' as const },
    }),
  });
  const encoder = device.createCommandEncoder();
  for (const view of viewsOf(texture)) {
    const stencil = format.includes('stencil') && {
      stencilClearValue: 77,
      stencilLoadOp: 'clear' as const,
      stencilStoreOp: 'store' as const,
    };
    const pass = encoder.beginRenderPass(
      isDepth(form)
        ? {
            colorAttachments: [],
            depthStencilAttachment: {
              view,
              depthClearValue: 0,
              depthLoadOp: 'clear',
              depthStoreOp: 'store',
              ...stencil,
            },
          }
        : { colorAttachments: [{ view, loadOp: 'clear', storeOp: 'store' }] },
    );
    pass.setPipeline(pipeline);
    pass.draw(3);
    pass.end();
  }
  device.queue.submit([encoder.finish()]);
}

function viewsOf(texture: GPUTexture, aspect: GPUTextureAspect = 'all'): GPUTextureView[] {
  const views: GPUTextureView[] = [];
  for (let baseMipLevel = 0; baseMipLevel < texture.mipLevelCount; baseMipLevel += 1)
    for (let baseArrayLayer = 0; baseArrayLayer < texture.depthOrArrayLayers; baseArrayLayer += 1)
      views.push(
        texture.createView({
          dimension: '2d',
          aspect,
          baseMipLevel,
          mipLevelCount: 1,
          baseArrayLayer,
          arrayLayerCount: 1,
        }),
      );
  return views;
}

/** The values that a shader of the program reads: of each sample of each level and layer. */
async function values(device: GPUDevice, texture: GPUTexture, form: Form): Promise<string[]> {
  const samples = texture.sampleCount;
  const [width, height] = SIZE;
  const code = `
    @group(0) @binding(0) var texels: texture_${samples > 1 ? 'multisampled_' : ''}2d<${typeOf(form)}>;
    @group(0) @binding(1) var<storage, read_write> found: array<vec4u>;
    @compute @workgroup_size(1) fn look(@builtin(global_invocation_id) id: vec3u) {
      let at = (id.y * ${width} + id.x) * ${samples} + id.z;
      found[at] = bitcast<vec4u>(textureLoad(texels, id.xy, id.z));
    }
  `;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } });
  const found: string[] = [];
  for (const view of viewsOf(texture, isDepth(form) ? 'depth-only' : 'all')) {
    const size = width * height * samples * 16;
    const words = device.createBuffer({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC });
    const entries = [
      { binding: 0, resource: view },
      { binding: 1, resource: { buffer: words } },
    ];
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
    pass.dispatchWorkgroups(width, height, samples);
    pass.end();
    device.queue.submit([encoder.finish()]);
    found.push((await readWords(device, words)).join());
    words.destroy();
  }
  return found;
}

const FORMS: Form[] = [
  { format: 'rgba8unorm', sampleCount: 4 },
  { format: 'bgra8unorm', sampleCount: 4 },
  { format: 'rgba8unorm-srgb', sampleCount: 4 },
  { format: 'rgba16float', sampleCount: 4 },
  { format: 'rg8uint', sampleCount: 4 },
  { format: 'rgba16sint', sampleCount: 4 },
  { format: 'depth16unorm', sampleCount: 4 },
  { format: 'depth24plus', sampleCount: 4 },
  { format: 'depth32float', sampleCount: 4 },
  { format: 'depth24plus', sampleCount: 1 },
  { format: 'depth32float', sampleCount: 1, mipLevelCount: 3, layers: 2 },
  { format: 'depth24plus-stencil8', sampleCount: 1 },
];

describe('a texture that copies cannot read', () => {
  it('has the same values in each sample after its session was parked', async () => {
    const { device, park, errors } = await start();
    const made = FORMS.map((form) => {
      const { format, sampleCount = 1, mipLevelCount = 1, layers } = form;
      const size = [...SIZE, layers ?? 1];
      const usage = RENDER_ATTACHMENT | TEXTURE_BINDING;
      const texture = device.createTexture({ size, format, sampleCount, mipLevelCount, usage });
      draw(device, texture, form);
      return { form, texture };
    });
    const all = () => Promise.all(made.map(({ form, texture }) => values(device, texture, form)));
    const before = await all();
    await park();
    const after = await all();
    for (const [at, { form }] of made.entries()) {
      expect(new Set(before[at]?.[0]?.split(',')).size, JSON.stringify(form)).toBeGreaterThan(10);
      expect(after[at], JSON.stringify(form)).toEqual(before[at]);
    }
    expect(errors).toEqual([]);
  }, 60_000);

  it('cannot be bound where the program has not asked for that', async () => {
    const { device, park } = await start();
    const texture = device.createTexture({ size: [4, 4], format: 'depth32float', usage: RENDER_ATTACHMENT });
    const bound = device.createTexture({ size: [4, 4], format: 'depth32float', usage: TEXTURE_BINDING });
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: 4, texture: { sampleType: 'unfilterable-float' } }],
    });
    const view = texture.createView();
    const bind = async (resource: GPUBindingResource) => {
      device.pushErrorScope('validation');
      device.createBindGroup({ layout, entries: [{ binding: 0, resource }] });
      return (await device.popErrorScope())?.constructor.name;
    };
    const attach = async (attachment: GPUTextureView | GPUTexture) => {
      device.pushErrorScope('validation');
      const encoder = device.createCommandEncoder();
      const depthStencilAttachment = {
        view: attachment,
        depthClearValue: 0,
        depthLoadOp: 'clear' as const,
        depthStoreOp: 'store' as const,
      };
      encoder.beginRenderPass({ colorAttachments: [], depthStencilAttachment }).end();
      device.queue.submit([encoder.finish()]);
      return (await device.popErrorScope())?.constructor.name;
    };
    const all = async () => [
      await bind(view),
      await bind(texture.createView()),
      await bind(texture),
      await attach(bound.createView()),
      await attach(bound),
      await bind(bound.createView()),
      await bind(bound),
      await attach(view),
      await attach(texture),
    ];
    const refused = 'GPUValidationError';
    const expected = [...Array(5).fill(refused), ...Array(4).fill(undefined)];
    expect(await all()).toEqual(expected);
    await park();
    expect(await all()).toEqual(expected);
  });
});
