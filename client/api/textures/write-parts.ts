import type {
  GPUTexelCopyBufferLayout,
  GPUTexelCopyTextureInfo,
  GPUTextureDescriptor,
} from '../../../proto/gen/operations.js';
import { GPUTextureUsage } from '../../../proto/gen/webgpu.js';
import { blockOf } from '../../../proto/texture-size.js';
import { PART_BYTES } from '../../../proto/wire/limits.js';

type Extent = readonly [width: number, height: number, layers: number];

/** The properties of the written texture that decide about parts. */
export interface WrittenTexture {
  readonly descriptor: Pick<
    GPUTextureDescriptor<unknown>,
    'format' | 'dimension' | 'usage' | 'sampleCount' | 'mipLevelCount'
  >;
  readonly size: Extent;
}

/** A part of a write: whole rows of one layer, or whole layers. */
export interface TexturePart {
  readonly origin: [x: number, y: number, z: number];
  readonly data: Uint8Array;
  readonly layout: GPUTexelCopyBufferLayout<never>;
  readonly size: [width: number, height: number, layers: number];
}

/**
 * Cuts a write to a texture into parts of at most `partBytes` bytes. Returns undefined if the write is short,
 * or if its rows cannot be cut. It also returns undefined if anything but the texture itself may be wrong
 * with the write: the host must refuse a wrong write as a whole. Formats with depth or stencil are never cut.
 */
export function textureParts(
  texture: WrittenTexture,
  { mipLevel, origin, aspect }: Pick<GPUTexelCopyTextureInfo<unknown>, 'mipLevel' | 'origin' | 'aspect'>,
  data: Uint8Array,
  { offset, bytesPerRow, rowsPerImage }: GPUTexelCopyBufferLayout<unknown>,
  [width, height, layers]: Extent,
  partBytes: number = PART_BYTES,
): TexturePart[] | undefined {
  const { format, dimension, usage, sampleCount, mipLevelCount } = texture.descriptor;
  const block = blockOf(format);
  if (data.length <= partBytes || !block || dimension === '1d' || aspect !== 'all') return undefined;
  if (!(usage & GPUTextureUsage.COPY_DST) || sampleCount !== 1 || mipLevel >= mipLevelCount) return undefined;
  const [x = 0, y = 0, z = 0] = Array.isArray(origin) ? origin : [origin.x, origin.y, origin.z];
  const level = (size: number) => Math.max(1, Math.floor(size / 2 ** mipLevel));
  const [columns, rows, depth] = [
    level(texture.size[0]),
    level(texture.size[1]),
    dimension === '3d' ? level(texture.size[2]) : texture.size[2],
  ];
  if (x + width > columns || y + height > rows || z + layers > depth) return undefined;
  if (x % block.width || width % block.width || y % block.height || height % block.height) return undefined;

  const rowBytes = (width / block.width) * block.bytes;
  const imageRows = height / block.height;
  if (rowBytes === 0 || imageRows === 0 || layers === 0) return undefined;
  if (bytesPerRow === undefined || bytesPerRow < rowBytes || bytesPerRow > partBytes) return undefined;
  const rowsApart = rowsPerImage ?? (layers === 1 ? imageRows : 0);
  if (rowsApart < imageRows) return undefined;
  const layerBytes = bytesPerRow * rowsApart;
  /** Bytes from the first to the last of this many rows of this many layers. */
  const span = (inRows: number, inLayers: number) =>
    layerBytes * (inLayers - 1) + bytesPerRow * (inRows - 1) + rowBytes;
  if (offset + span(imageRows, layers) > data.length) return undefined;

  const parts: TexturePart[] = [];
  const add = (row: number, layer: number, inRows: number, inLayers: number) => {
    const start = offset + layer * layerBytes + row * bytesPerRow;
    parts.push({
      origin: [x, y + row * block.height, z + layer],
      data: data.subarray(start, start + span(inRows, inLayers)),
      layout: { offset: 0, bytesPerRow, rowsPerImage: rowsApart },
      size: [width, inRows * block.height, inLayers],
    });
  };
  const layersAPart = Math.floor(partBytes / layerBytes);
  const rowsAPart = Math.floor(partBytes / bytesPerRow);
  if (layersAPart > 0) {
    for (let layer = 0; layer < layers; layer += layersAPart) {
      add(0, layer, imageRows, Math.min(layersAPart, layers - layer));
    }
  } else {
    for (let layer = 0; layer < layers; layer += 1) {
      for (let row = 0; row < imageRows; row += rowsAPart) {
        add(row, layer, Math.min(rowsAPart, imageRows - row), 1);
      }
    }
  }
  return parts;
}
