import { decodeImage, resize } from '../../support/image.mjs';
import { planes } from './planes.mjs';

/** The longest side that the detector sees. */
const LONGEST = 960;
/** The detector halves the page five times. */
const STEP = 32;
const MEAN = [0.485, 0.456, 0.406];
const DEVIATION = [0.229, 0.224, 0.225];

/** The pixels of a page, and the page as the detector takes it. */
export function open({ page }) {
  const image = decoded(page.data);
  const scale = Math.min(1, LONGEST / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map(
    (side) => Math.max(1, Math.round((side * scale) / STEP)) * STEP,
  );
  const seen = width === image.width && height === image.height ? image : resize(image, width, height);
  const data = new Float32Array(3 * width * height);
  planes(seen, data, width, (value, channel) => (value / 255 - MEAN[channel]) / DEVIATION[channel]);
  return {
    pixels: { shape: [image.height, image.width, 4], data: new Uint8Array(image.data) },
    x: { shape: [1, 3, height, width], data },
  };
}

function decoded(bytes) {
  try {
    return decodeImage(bytes);
  } catch (error) {
    throw new Error(`the page is no PNG or JPEG file that can be read: ${error.message}`);
  }
}
