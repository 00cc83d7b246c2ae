import { decompress, isCompressed, isNIFTI, readHeader, readImage } from 'nifti-reader-js';

/** The length of a block. */
const BLOCK = 32;
/** At its faces a block does not see enough: so many voxels there are taken from its neighbour. */
const MARGIN = 4;

/** The blocks of a scan, each value from 0 to 1, and the size of the scan. Dimensions are z, y, x. */
export function cut({ scan }) {
  const { size, spacing, voxels } = open(scan.data);
  const places = blocksOf(size);
  const [, height, width] = size;
  const data = new Float32Array(places.length * BLOCK ** 3);
  for (const [index, block] of places.entries()) {
    const [depth, rows, columns] = block.map(({ start }, axis) => Math.min(BLOCK, size[axis] - start));
    for (let z = 0; z < depth; z++) {
      for (let y = 0; y < rows; y++) {
        const from = ((block[0].start + z) * height + block[1].start + y) * width + block[2].start;
        data.set(voxels.subarray(from, from + columns), ((index * BLOCK + z) * BLOCK + y) * BLOCK);
      }
    }
  }
  return {
    blocks: { shape: [places.length, 1, BLOCK, BLOCK, BLOCK], data },
    size: { data: Int32Array.from(size) },
    spacing: { data: Float32Array.from(spacing) },
  };
}

/** The class of each voxel: the one with the greatest score, in the block that sees most around the voxel. */
export function join({ scores, size }) {
  const [depth, height, width] = size.data;
  const [, classes] = scores.shape;
  const labels = new Uint8Array(depth * height * width);
  for (const [index, block] of blocksOf([depth, height, width]).entries()) {
    for (let z = block[0].from; z < block[0].to; z++) {
      for (let y = block[1].from; y < block[1].to; y++) {
        for (let x = block[2].from; x < block[2].to; x++) {
          const [inZ, inY, inX] = [z, y, x].map((each, axis) => each - block[axis].start);
          const voxel = index * classes * BLOCK ** 3 + (inZ * BLOCK + inY) * BLOCK + inX;
          let best = 0;
          for (let each = 1; each < classes; each++) {
            if (scores.data[voxel + each * BLOCK ** 3] > scores.data[voxel + best * BLOCK ** 3]) best = each;
          }
          labels[(z * height + y) * width + x] = best;
        }
      }
    }
  }
  return { labels: { shape: [depth, height, width], data: labels } };
}

/** Where the blocks of a scan are: in each dimension, where a block starts, and which part of the scan it decides. */
function blocksOf(size) {
  const [depth, height, width] = size.map((length) => {
    const count = Math.max(1, Math.ceil((length - 2 * MARGIN) / (BLOCK - 2 * MARGIN)));
    const starts = Array.from({ length: count }, (_, at) =>
      Math.max(0, Math.min(at * (BLOCK - 2 * MARGIN), length - BLOCK)),
    );
    // Between two blocks, in the middle of where they overlap.
    const borders = starts.slice(1).map((start, at) => Math.floor((starts[at] + BLOCK + start) / 2));
    return starts.map((start, at) => ({ start, from: borders[at - 1] ?? 0, to: borders[at] ?? length }));
  });
  return depth.flatMap((z) => height.flatMap((y) => width.map((x) => [z, y, x])));
}

function open(bytes) {
  let file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
  if (isCompressed(file)) file = decompress(file);
  if (!isNIFTI(file)) throw new Error('the scan is no NIfTI file');
  const header = readHeader(file);
  const [, width, height, depth] = header.dims;
  const [, x, y, z] = header.pixDims;
  return {
    size: [depth, height, width],
    spacing: [z, y, x],
    voxels: normalized(values(header, readImage(header, file))),
  };
}

/** By the codes of NIfTI. */
const ARRAYS = {
  2: Uint8Array,
  4: Int16Array,
  8: Int32Array,
  16: Float32Array,
  256: Int8Array,
  512: Uint16Array,
};

function values({ datatypeCode, littleEndian }, image) {
  const Numbers = ARRAYS[datatypeCode];
  if (!Numbers || !littleEndian)
    throw new Error('the scan has voxels of a kind that this example does not read');
  return new Numbers(image);
}

/** From 0, the darkest voxel, to 1, the brightest. */
function normalized(voxels) {
  let [least, most] = [Infinity, -Infinity];
  for (const voxel of voxels) {
    least = Math.min(least, voxel);
    most = Math.max(most, voxel);
  }
  return Float32Array.from(voxels, (voxel) => (voxel - least) / (most - least || 1));
}
