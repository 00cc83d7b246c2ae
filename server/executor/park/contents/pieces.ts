import { blockOf, type TexelBlock } from '../../../../proto/texture-size.js';
import { needsShaders } from '../../live/copyable.js';
import { bytesOfTexel } from './texel-words.js';

/** The most bytes that are read or written at once. */
export const PIECE_BYTES: number = 8 << 20;
/** The rows of a texture in a buffer begin at multiples of this. */
const ROW_BYTES = 256;

/** A part of a buffer. */
export interface BufferPiece {
  readonly kind: 'buffer';
  readonly offset: number;
  readonly bytes: number;
}

/** The last bytes of a buffer whose size is no multiple of 4. Only copies from and to textures reach them. */
export interface TailPiece {
  readonly kind: 'tail';
  readonly offset: number;
  readonly bytes: number;
}

/** Some rows of blocks of one layer, or of one slice in depth, of a texture. */
export interface TexturePiece {
  readonly kind: 'texture';
  readonly aspect: GPUTextureAspect;
  readonly mipLevel: number;
  readonly origin: { readonly x: 0; readonly y: number; readonly z: number };
  readonly size: { readonly width: number; readonly height: number; readonly depthOrArrayLayers: 1 };
  readonly bytesPerRow: number;
  readonly rowsPerImage: number;
  /** The rows as they lie in a buffer, with the gaps between them. */
  readonly bytes: number;
}

/** Some rows of one mip level and layer of a texture that shaders read and fill, with all samples. */
export interface ShaderPiece {
  readonly kind: 'shader';
  readonly mipLevel: number;
  readonly layer: number;
  readonly y: number;
  readonly width: number;
  readonly rows: number;
  readonly bytes: number;
}

export type Piece = BufferPiece | TailPiece | TexturePiece | ShaderPiece;

/** The descriptor of a texture, as far as its texels depend on it. */
export type TextureForm = Pick<
  GPUTexture,
  'format' | 'dimension' | 'width' | 'height' | 'depthOrArrayLayers' | 'mipLevelCount' | 'sampleCount'
>;

/** The aspects of a format with depth or stencil that copies can read and write, with the bytes of a texel. */
const DEPTH_STENCIL: Readonly<Record<string, readonly [GPUTextureAspect, number]>> = {
  stencil8: ['stencil-only', 1],
  depth16unorm: ['depth-only', 2],
  'depth24plus-stencil8': ['stencil-only', 1],
  'depth32float-stencil8': ['stencil-only', 1],
};

/** The pieces of a buffer. */
export function piecesOfBuffer(size: number): (BufferPiece | TailPiece)[] {
  const pieces: (BufferPiece | TailPiece)[] = [];
  const end = size - (size % 4);
  for (let offset = 0; offset < end; offset += PIECE_BYTES)
    pieces.push({ kind: 'buffer', offset, bytes: Math.min(PIECE_BYTES, end - offset) });
  if (end < size) pieces.push({ kind: 'tail', offset: end, bytes: size - end });
  return pieces;
}

/** The pieces of a texture; undefined where neither copies nor shaders can read and fill it. */
export function piecesOfTexture(texture: TextureForm): (TexturePiece | ShaderPiece)[] | undefined {
  const { format, sampleCount } = texture;
  const block = sampleCount === 1 ? blockOf(format) : undefined;
  const [aspect, bytes] = (sampleCount === 1 && DEPTH_STENCIL[format]) || [];
  const isDrawn = needsShaders(texture);
  if (!block && !aspect && !isDrawn) return undefined;
  return [...levelsOf(texture)].flatMap((level) => [
    ...(isDrawn ? drawnPieces(level, format, sampleCount) : []),
    ...(block ? copiedPieces(level, 'all', block) : []),
    // Copies of depth and stencil are only allowed for a whole level.
    ...(aspect && bytes ? copiedPieces(level, aspect, { width: 1, height: 1, bytes }, true) : []),
  ]);
}

/** One mip level of one layer, or of one slice in depth. */
interface Level {
  readonly mipLevel: number;
  readonly z: number;
  readonly width: number;
  readonly height: number;
}

function* levelsOf(texture: TextureForm): Generator<Level> {
  const { dimension, width, height, depthOrArrayLayers, mipLevelCount } = texture;
  for (let mipLevel = 0; mipLevel < mipLevelCount; mipLevel += 1) {
    const at = (size: number) => Math.max(1, size >> mipLevel);
    const layers = dimension === '3d' ? at(depthOrArrayLayers) : depthOrArrayLayers;
    for (let z = 0; z < layers; z += 1)
      yield { mipLevel, z, width: at(width), height: dimension === '1d' ? 1 : at(height) };
  }
}

function copiedPieces(
  { mipLevel, z, width, height }: Level,
  aspect: GPUTextureAspect,
  block: TexelBlock,
  isWhole = false,
): TexturePiece[] {
  // A copy covers whole blocks, also where the level ends within one.
  const columns = Math.ceil(width / block.width);
  const bytesPerRow = Math.ceil((columns * block.bytes) / ROW_BYTES) * ROW_BYTES;
  const all = Math.ceil(height / block.height);
  return runsOf(all, isWhole ? all : Math.floor(PIECE_BYTES / bytesPerRow)).map(({ row, rows }) => ({
    kind: 'texture',
    aspect,
    mipLevel,
    origin: { x: 0, y: row * block.height, z },
    size: { width: columns * block.width, height: rows * block.height, depthOrArrayLayers: 1 },
    bytesPerRow,
    rowsPerImage: rows,
    bytes: bytesPerRow * rows,
  }));
}

function drawnPieces({ mipLevel, z, width, height }: Level, format: string, samples: number): ShaderPiece[] {
  const rowBytes = width * samples * bytesOfTexel(format);
  return runsOf(height, Math.floor(PIECE_BYTES / rowBytes)).map(({ row, rows }) => ({
    kind: 'shader',
    mipLevel,
    layer: z,
    y: row,
    width,
    rows,
    bytes: rowBytes * rows,
  }));
}

/** Divides rows into runs of at most so many, and of one at least. */
function runsOf(all: number, most: number): { row: number; rows: number }[] {
  const length = Math.max(1, most);
  return Array.from({ length: Math.ceil(all / length) }, (_, at) => ({
    row: at * length,
    rows: Math.min(length, all - at * length),
  }));
}
