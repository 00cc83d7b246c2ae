/** The smallest unit of a format that memory holds: some texels, and their bytes. */
export interface TexelBlock {
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
}

export type Extent = [width: number, height: number, depthOrArrayLayers: number];

/** What decides how much memory a texture takes, with the members that WebIDL fills in filled in. */
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
 * Bytes of a texel where the specification leaves it to the implementation: what drivers take that have no
 * packed form.
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
 * The block of a format for colors, as https://gpuweb.github.io/gpuweb/#plain-color-formats and
 * #packed-formats have it. Undefined for formats with depth or stencil, and for what is no format.
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
 * The bytes that a texture's texels take: all mip levels, layers and samples, without what a driver adds to
 * align them.
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
