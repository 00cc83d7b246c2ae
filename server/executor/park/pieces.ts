import { blockOf } from '../../../proto/texture-size.js';

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

export type Piece = BufferPiece | TailPiece | TexturePiece;

/** The descriptor of a texture, as far as its texels depend on it. */
export type TextureForm = Pick<
  GPUTexture,
  'format' | 'dimension' | 'width' | 'height' | 'depthOrArrayLayers' | 'mipLevelCount' | 'sampleCount'
>;

/** The aspects of a format that copies can read and write, with the bytes of a texel. Undefined where one cannot. */
const DEPTH_STENCIL: Readonly<Record<string, readonly (readonly [GPUTextureAspect, number])[] | undefined>> =
  {
    stencil8: [['stencil-only', 1]],
    depth16unorm: [['depth-only', 2]],
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

/** The pieces of a texture; undefined where copies cannot read or fill it. */
export function piecesOfTexture(texture: TextureForm): TexturePiece[] | undefined {
  const { format, dimension, width, height, depthOrArrayLayers, mipLevelCount, sampleCount } = texture;
  if (sampleCount !== 1) return undefined;
  const block = blockOf(format);
  const aspects = block ? ([['all', block.bytes]] as const) : DEPTH_STENCIL[format];
  if (!aspects) return undefined;
  const { width: blockWidth, height: blockHeight } = block ?? { width: 1, height: 1 };
  const pieces: TexturePiece[] = [];
  for (const [aspect, blockBytes] of aspects) {
    for (let mipLevel = 0; mipLevel < mipLevelCount; mipLevel += 1) {
      const at = (size: number) => Math.max(1, size >> mipLevel);
      // A copy covers whole blocks, also where the level ends within one.
      const columns = Math.ceil(at(width) / blockWidth);
      const rows = Math.ceil((dimension === '1d' ? 1 : at(height)) / blockHeight);
      const layers = dimension === '3d' ? at(depthOrArrayLayers) : depthOrArrayLayers;
      const bytesPerRow = Math.ceil((columns * blockBytes) / ROW_BYTES) * ROW_BYTES;
      const most = Math.max(1, Math.floor(PIECE_BYTES / bytesPerRow));
      for (let z = 0; z < layers; z += 1) {
        for (let row = 0; row < rows; row += most) {
          const count = Math.min(most, rows - row);
          pieces.push({
            kind: 'texture',
            aspect,
            mipLevel,
            origin: { x: 0, y: row * blockHeight, z },
            size: { width: columns * blockWidth, height: count * blockHeight, depthOrArrayLayers: 1 },
            bytesPerRow,
            rowsPerImage: count,
            bytes: bytesPerRow * count,
          });
        }
      }
    }
  }
  return pieces;
}
