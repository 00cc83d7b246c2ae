// What becomes of a page that installs Farlight: the error, or what it has then.
import { close, install } from '/farlight.js';

export default async function main(options) {
  const before = Object.getOwnPropertyDescriptor(navigator, 'gpu');
  try {
    const gpu = await install(options);
    const installed = navigator.gpu === gpu && new OffscreenCanvas(1, 1).getContext('webgpu') !== null;
    close(gpu);
    return { installed };
  } catch ({ code, message }) {
    return { code, message, untouched: before === Object.getOwnPropertyDescriptor(navigator, 'gpu') };
  }
}
