// Installs Farlight in a page. Returns the error, or the globals that the page has then.
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
