// Draws the triangle of the example for browsers into a texture, and writes a PNG: triangle.mjs FILE.png

import { drawTriangle } from '../../../examples/browser/triangle-drawing.mjs';
import { writePng } from '../../../examples/support/image.mjs';

const [width, height] = [320, 240];
const device = await (await navigator.gpu.requestAdapter()).requestDevice();
const texture = device.createTexture({
  size: [width, height],
  format: 'rgba8unorm',
  usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC,
});
drawTriangle(device, 'rgba8unorm', texture);
// Rows of 1280 bytes are already multiples of 256.
const buffer = device.createBuffer({
  size: 4 * width * height,
  usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
});
const encoder = device.createCommandEncoder();
encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow: 4 * width }, [width, height]);
device.queue.submit([encoder.finish()]);
await buffer.mapAsync(GPUMapMode.READ);
writePng(process.argv[2], { width, height, data: new Uint8Array(buffer.getMappedRange()) });
