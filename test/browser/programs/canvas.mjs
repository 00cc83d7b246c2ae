// Fills canvases with colors on the GPU, and reads the pixels that the page shows.
import { canvasContext, close, install } from '/farlight.js';

/** Resolves to the pixel in the middle of the canvas, when it is not empty any more. */
async function shown(canvas) {
  const context = Object.getPrototypeOf(canvas) === OffscreenCanvas.prototype ? undefined : canvas;
  for (;;) {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d');
    copy.drawImage(context ?? canvas, 0, 0);
    const { data } = copy.getImageData(canvas.width >> 1, canvas.height >> 1, 1, 1);
    if (data[3] > 0) return [...data];
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function fill(device, texture, [r, g, b, a]) {
  const encoder = device.createCommandEncoder();
  encoder
    .beginRenderPass({
      colorAttachments: [
        { view: texture.createView(), loadOp: 'clear', clearValue: { r, g, b, a }, storeOp: 'store' },
      ],
    })
    .end();
  device.queue.submit([encoder.finish()]);
}

export default async function main(host) {
  const gpu = await install(host);
  const device = await (await gpu.requestAdapter()).requestDevice();
  const errors = [];
  device.addEventListener('uncapturederror', ({ error }) => errors.push(error.message));
  const result = { colors: {}, errors };
  const page = (width = 4, height = 4) => Object.assign(document.createElement('canvas'), { width, height });

  for (const format of ['bgra8unorm', 'rgba8unorm', 'rgba16float']) {
    for (const alphaMode of ['opaque', 'premultiplied']) {
      const canvas = page();
      const context = canvas.getContext('webgpu');
      context.configure({ device, format, alphaMode });
      fill(device, context.getCurrentTexture(), [0.4, 0.2, 0, 0.4]);
      result.colors[`${format} ${alphaMode}`] = await shown(canvas);
    }
  }

  const offscreen = new OffscreenCanvas(4, 4);
  const context = offscreen.getContext('webgpu');
  result.classes = [context instanceof GPUCanvasContext, context.canvas === offscreen];
  result.same = offscreen.getContext('webgpu') === context && canvasContext(offscreen) === context;
  result.other = [offscreen.getContext('2d'), offscreen.getContext('webgl')];
  try {
    context.getCurrentTexture();
  } catch (error) {
    result.unconfigured = error.name;
  }
  result.configurations = [context.getConfiguration()];
  context.configure({ device, format: 'rgba8unorm' });
  const { device: _, ...rest } = context.getConfiguration();
  result.configurations.push(rest);
  for (const wrong of [
    { device, format: 'rgba8snorm' },
    { device: {}, format: 'rgba8unorm' },
  ]) {
    try {
      context.configure(wrong);
    } catch (error) {
      result.wrong = [...(result.wrong ?? []), error.name];
    }
  }

  // One texture in each task, and another after a change of size.
  const first = context.getCurrentTexture();
  result.oneATask = context.getCurrentTexture() === first;
  offscreen.width = 8;
  const second = context.getCurrentTexture();
  result.resized = [second !== first, second.width, second.height];
  fill(device, second, [0, 0, 1, 1]);
  try {
    page().getContext('2d').drawImage(offscreen, 0, 0);
  } catch (error) {
    result.early = `${error.name}: ${error.message}`;
  }
  await new Promise((resolve) => setTimeout(resolve));
  result.offscreen = await shown(offscreen);
  result.next = context.getCurrentTexture() !== second;

  const plain = page();
  plain.getContext('2d');
  result.taken = plain.getContext('webgpu');
  const two = page();
  two.getContext('2d').fillRect(0, 0, 1, 1);
  result.plainStays = two.getContext('2d') !== null;
  const frame = document.body.appendChild(document.createElement('iframe'));
  const framed = frame.contentDocument.createElement('canvas');
  result.framed = canvasContext(framed).canvas === framed;
  close(gpu);
  return result;
}
