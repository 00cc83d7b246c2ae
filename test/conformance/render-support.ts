// The constants of GPUTextureUsage and GPUShaderStage.
export const TEXTURE_COPY_SRC = 0x1;
export const TEXTURE_COPY_DST = 0x2;
export const TEXTURE_BINDING = 0x4;
export const STORAGE_BINDING = 0x8;
export const RENDER_ATTACHMENT = 0x10;
export const VERTEX_STAGE = 0x1;
export const FRAGMENT_STAGE = 0x2;

export const BLACK = [0, 0, 0, 255];
export const RED = [255, 0, 0, 255];
export const GREEN = [0, 255, 0, 255];
export const BLUE = [0, 0, 255, 255];
export const WHITE = [255, 255, 255, 255];
export const NOTHING = [0, 0, 0, 0];

/** A texture to draw to and to read, of 8 x 8 texels by default. */
export function canvas(device: GPUDevice, descriptor: Partial<GPUTextureDescriptor> = {}): GPUTexture {
  return device.createTexture({
    size: [8, 8],
    format: 'rgba8unorm',
    usage: RENDER_ATTACHMENT | TEXTURE_COPY_SRC,
    ...descriptor,
  });
}

const BYTES_PER_ROW = 256;

/** Where to read in a texture: by default all of the first layer of the first level. */
export interface Where {
  mipLevel?: number;
  layer?: number;
  aspect?: GPUTextureAspect;
  bytesPerTexel?: number;
}

/** The bytes of one layer of a texture with COPY_SRC, without gaps between rows. */
export async function bytesOfTexture(
  device: GPUDevice,
  texture: GPUTexture,
  { mipLevel = 0, layer = 0, aspect = 'all', bytesPerTexel = 4 }: Where = {},
): Promise<Uint8Array> {
  const [width, height] = [texture.width >> mipLevel || 1, texture.height >> mipLevel || 1];
  const staging = device.createBuffer({ size: BYTES_PER_ROW * height, usage: 0x8 | 0x1 });
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer(
    { texture, mipLevel, aspect, origin: [0, 0, layer] },
    { buffer: staging, bytesPerRow: BYTES_PER_ROW },
    [width, height],
  );
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(0x1);
  const padded = new Uint8Array(staging.getMappedRange());
  const row = width * bytesPerTexel;
  const bytes = new Uint8Array(row * height);
  for (let y = 0; y < height; y++)
    bytes.set(padded.subarray(y * BYTES_PER_ROW, y * BYTES_PER_ROW + row), y * row);
  staging.destroy();
  return bytes;
}

/** Every texel of a texture with four bytes a texel, row by row. */
export async function texelsOf(device: GPUDevice, texture: GPUTexture, where?: Where): Promise<number[][]> {
  const bytes = await bytesOfTexture(device, texture, where);
  return Array.from({ length: bytes.length / 4 }, (_, index) => [
    ...bytes.subarray(index * 4, index * 4 + 4),
  ]);
}

/**
 * The picture in letters, one string a row: the name of each texel in `names`, or '?'. It tells what a spec
 * draws, and shows a difference at once.
 */
export async function picture(
  device: GPUDevice,
  texture: GPUTexture,
  names: Record<string, readonly number[]>,
  where?: Where,
): Promise<string[]> {
  const texels = await texelsOf(device, texture, where);
  const letters = texels.map((texel) => {
    const found = Object.entries(names).find(([, value]) => value.join() === texel.join());
    return found?.[0] ?? '?';
  });
  const width = texture.width >> (where?.mipLevel ?? 0) || 1;
  return Array.from({ length: letters.length / width }, (_, y) =>
    letters.slice(y * width, (y + 1) * width).join(''),
  );
}

/** A picture of one letter. */
export const filled = (letter: string, width = 8, height = width): string[] =>
  Array.from({ length: height }, () => letter.repeat(width));

/** Covers everything with 3 vertices, at depth `z`; the fragment's color is the override `r, g, b, a`. */
export const COVER = `
  override r: f32 = 1; override g: f32 = 0; override b: f32 = 0; override a: f32 = 1; override z: f32 = 0;
  @vertex fn cover(@builtin(vertex_index) index: u32) -> @builtin(position) vec4f {
    let corner = vec2f(f32(index & 1u), f32(index >> 1u)) * 4 - 1;
    return vec4f(corner, z, 1);
  }
  @fragment fn color() -> @location(0) vec4f { return vec4f(r, g, b, a); }`;

export type Color = 'red' | 'green' | 'blue' | 'white';
const COLORS = {
  red: { r: 1, g: 0, b: 0 },
  green: { r: 0, g: 1, b: 0 },
  blue: { r: 0, g: 0, b: 1 },
  white: { r: 1, g: 1, b: 1 },
};

/** A pipeline that covers everything with one color. */
export function cover(
  device: GPUDevice,
  color: Color = 'red',
  more: Partial<GPURenderPipelineDescriptor> & { target?: Partial<GPUColorTargetState>; z?: number } = {},
): GPURenderPipeline {
  const { target, z = 0, ...descriptor } = more;
  const module = device.createShaderModule({ code: COVER });
  return device.createRenderPipeline({
    layout: 'auto',
    vertex: { module, constants: { z } },
    fragment: { module, constants: COLORS[color], targets: [{ format: 'rgba8unorm', ...target }] },
    ...descriptor,
  });
}

/** Draws vertices of two f32 (clip space) in a color. */
export function shape(
  device: GPUDevice,
  color: Color = 'red',
  more: Partial<GPURenderPipelineDescriptor> & { buffers?: GPUVertexBufferLayout[] } = {},
): GPURenderPipeline {
  const { buffers, ...descriptor } = more;
  const code = `${COVER} @vertex fn at(@location(0) at: vec2f) -> @builtin(position) vec4f { return vec4f(at, 0, 1); }`;
  const module = device.createShaderModule({ code });
  const attributes: GPUVertexAttribute[] = [{ format: 'float32x2', offset: 0, shaderLocation: 0 }];
  return device.createRenderPipeline({
    layout: 'auto',
    vertex: { module, entryPoint: 'at', buffers: buffers ?? [{ arrayStride: 8, attributes }] },
    fragment: { module, constants: COLORS[color], targets: [{ format: 'rgba8unorm' }] },
    ...descriptor,
  });
}

/** The six vertices of a rectangle in texels of a target of 8 x 8, from the top left. */
export function rectangle(left: number, top: number, right: number, bottom: number): number[] {
  const [l, r] = [left / 4 - 1, right / 4 - 1];
  const [t, b] = [1 - top / 4, 1 - bottom / 4];
  return [l, t, r, t, l, b, r, t, r, b, l, b];
}

/** The commands of one pass over a cleared target. */
export function pass(
  device: GPUDevice,
  view: GPUTexture | GPUTextureView,
  act: (pass: GPURenderPassEncoder) => void = () => {},
  more: Partial<GPURenderPassDescriptor> & { attachment?: Partial<GPURenderPassColorAttachment> } = {},
): GPUCommandBuffer {
  const { attachment, ...descriptor } = more;
  const encoder = device.createCommandEncoder();
  const encoded = encoder.beginRenderPass({
    colorAttachments: [
      { view, loadOp: 'clear', storeOp: 'store', ...attachment } as GPURenderPassColorAttachment,
    ],
    ...descriptor,
  });
  act(encoded);
  encoded.end();
  return encoder.finish();
}

/** Encodes a pass and submits it. */
export function draw(...args: Parameters<typeof pass>): void {
  args[0].queue.submit([pass(...args)]);
}

/** A render pipeline descriptor with replaceable parts. */
export function pipelineDescriptor(device: GPUDevice, more: object = {}): GPURenderPipelineDescriptor {
  const module = device.createShaderModule({ code: COVER });
  return {
    layout: 'auto',
    vertex: { module },
    fragment: { module, targets: [{ format: 'rgba8unorm' }] },
    ...more,
  };
}
