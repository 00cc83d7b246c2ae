/** The smallest unit of a format that memory holds: some texels, and their bytes. */
export interface TexelBlock {
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
}

export type Extent = [width: number, height: number, depthOrArrayLayers: number];

/** The members of a texture's descriptor that decide its memory. WebIDL defaults may be missing. */
interface SizedTexture {
  readonly format: string;
  readonly size: Iterable<number> | { width: number; height?: number; depthOrArrayLayers?: number };
  readonly dimension?: string | undefined;
  readonly mipLevelCount?: number | undefined;
  readonly sampleCount?: number | undefined;
}

const PLAIN = /^(rgba|bgra|rg|r)(8|16|32)(unorm|snorm|uint|sint|float)(-srgb)?$/;
const PACKED = new Set(['rgb10a2unorm', 'rgb10a2uint', 'rg11b10ufloat', 'rgb9e5ufloat']);
const COMPRESSED = /^(bc[1-7]h?|etc2|eac|astc-(\d+)x(\d+))-/;
/** Compressed formats whose blocks have 8 bytes; the others' have 16. */
const SHORT_BLOCK = /^(bc1|bc4|etc2-rgb8|eac-r11)/;

/**
 * Bytes of a texel in the formats whose size the specification leaves open: the sizes of drivers without a packed
 * form.
 */
const DEPTH_STENCIL: Readonly<Record<string, number>> = {
  stencil8: 1,
  depth16unorm: 2,
  depth24plus: 4,
  'depth24plus-stencil8': 8,
  depth32float: 4,
  'depth32float-stencil8': 8,
};

/**
 * The block of a color format, as in https://gpuweb.github.io/gpuweb/#plain-color-formats and #packed-formats.
 * Undefined for formats with depth or stencil, and for unknown formats.
 */
export function blockOf(format: string): TexelBlock | undefined {
  if (PACKED.has(format)) return { width: 1, height: 1, bytes: 4 };
  const [, components, bits] = PLAIN.exec(format) ?? [];
  if (components && bits) return { width: 1, height: 1, bytes: (components.length * Number(bits)) / 8 };
  const [compressed, , width = '4', height = '4'] = COMPRESSED.exec(format) ?? [];
  if (!compressed) return undefined;
  const bytes = SHORT_BLOCK.test(format) ? 8 : 16;
  return { width: Number(width), height: Number(height), bytes };
}

/** A GPUExtent3D in its three numbers. */
export function extent(size: SizedTexture['size']): Extent {
  if (Symbol.iterator in size) {
    const [width = 0, height = 1, depthOrArrayLayers = 1] = size;
    return [width, height, depthOrArrayLayers];
  }
  return [size.width, size.height ?? 1, size.depthOrArrayLayers ?? 1];
}

/**
 * The bytes of a texture's texels in all mip levels, layers and samples, without the driver's alignment.
 */
export function textureBytes(texture: SizedTexture): number {
  const { format, dimension = '2d', mipLevelCount = 1, sampleCount = 1 } = texture;
  const block = blockOf(format) ?? { width: 1, height: 1, bytes: DEPTH_STENCIL[format] ?? 4 };
  const [width, height, depthOrLayers] = extent(texture.size);
  const layers = dimension === '3d' ? 1 : depthOrLayers;
  const depth = dimension === '3d' ? depthOrLayers : 1;
  const largest = Math.max(width, height, depth);
  let blocks = 0;
  for (let level = 0; level < mipLevelCount && largest / 2 ** level >= 1; level += 1) {
    const at = (size: number) => Math.max(1, Math.floor(size / 2 ** level));
    blocks += Math.ceil(at(width) / block.width) * Math.ceil(at(height) / block.height) * at(depth);
  }
  return blocks * block.bytes * layers * sampleCount;
}
