// A scan that is drawn: a body, and bright balls in it.
import { NIFTI1 } from 'nifti-reader-js';
import { randomNumbers } from '../support/random.mjs';

const SIZE = [80, 64, 56];
/** Millimetres from voxel to voxel. */
const SPACING = [1.5, 1.5, 2];
const CENTRE = SIZE.map((voxels, axis) => ((voxels - 1) * SPACING[axis]) / 2);
const BRIGHTNESS = { body: 400, ball: 800, noise: 60 };

const BODY = { centre: CENTRE, radii: [52, 42, 48] };
/** The first two lie across several blocks. */
export const BALLS = [
  { centre: [38, 46, 54], radius: 14 },
  { centre: [82, 40, 66], radius: 11 },
  { centre: [66, 66, 30], radius: 8 },
];

/** In millilitres. */
export const ballVolume = ({ radius }) => ((4 / 3) * Math.PI * radius ** 3) / 1000;
/** Without the balls. */
export const bodyVolume = () =>
  ((4 / 3) * Math.PI * BODY.radii.reduce((product, radius) => product * radius, 1)) / 1000 -
  BALLS.reduce((sum, ball) => sum + ballVolume(ball), 0);

/** The bytes of the scan as a NIfTI file. */
export function drawScan() {
  const random = randomNumbers(1);
  const voxels = new Int16Array(SIZE[0] * SIZE[1] * SIZE[2]);
  let at = 0;
  for (let z = 0; z < SIZE[2]; z++) {
    for (let y = 0; y < SIZE[1]; y++) {
      for (let x = 0; x < SIZE[0]; x++) {
        const place = [x * SPACING[0], y * SPACING[1], z * SPACING[2]];
        const [body, ...balls] = [BODY, ...BALLS].map((each) => share(each, place));
        const brightness = BRIGHTNESS.body * body + (BRIGHTNESS.ball - BRIGHTNESS.body) * Math.max(...balls);
        voxels[at++] = Math.max(0, brightness + BRIGHTNESS.noise * random());
      }
    }
  }
  return niftiFile(voxels);
}

/** How much of a voxel an ellipsoid fills, from 0 to 1. */
function share({ centre, radius, radii = [radius, radius, radius] }, place) {
  const distance = Math.hypot(...place.map((each, axis) => (each - centre[axis]) / radii[axis]));
  const inside = (1 - distance) * Math.min(...radii);
  return Math.min(1, Math.max(0, 0.5 + inside / SPACING[0]));
}

function niftiFile(voxels) {
  const header = new NIFTI1();
  Object.assign(header, {
    littleEndian: true,
    dims: [3, ...SIZE, 1, 1, 1, 1],
    pixDims: [1, ...SPACING, 1, 1, 1, 1],
    datatypeCode: NIFTI1.TYPE_INT16,
    numBitsPerVoxel: 16,
    vox_offset: 352,
    scl_slope: 1,
    xyzt_units: NIFTI1.UNITS_MM,
    magic: 'n+1',
  });
  return Buffer.concat([new Uint8Array(header.toArrayBuffer()), new Uint8Array(voxels.buffer)]);
}
