// Copies images of a page to a texture, and reads the texture back.
import { close, create, globals } from '/farlight.js';

const { GPUBufferUsage, GPUMapMode, GPUTextureUsage } = globals;
const [WIDTH, HEIGHT] = [3, 2];

function drawn(owner = document) {
  const canvas = owner.createElement('canvas');
  Object.assign(canvas, { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext('2d');
  for (let at = 0; at < WIDTH * HEIGHT; at += 1) {
    context.fillStyle = `rgb(${40 * at}, ${255 - 40 * at}, ${10 * at})`;
    context.fillRect(at % WIDTH, Math.floor(at / WIDTH), 1, 1);
  }
  return canvas;
}

async function sources() {
  const canvas = drawn();
  const image = new Image();
  image.src = canvas.toDataURL('image/png');
  await image.decode();
  const offscreen = new OffscreenCanvas(WIDTH, HEIGHT);
  offscreen.getContext('2d').drawImage(canvas, 0, 0);
  // The classes of an iframe differ from those of the page.
  const frame = document.body.appendChild(document.createElement('iframe'));
  const framed = drawn(frame.contentDocument);
  return {
    HTMLCanvasElement: canvas,
    "an iframe's HTMLCanvasElement": framed,
    "an iframe's ImageData": framed.getContext('2d').getImageData(0, 0, WIDTH, HEIGHT),
    OffscreenCanvas: offscreen,
    HTMLImageElement: image,
    ImageBitmap: await createImageBitmap(canvas),
    ImageData: canvas.getContext('2d').getImageData(0, 0, WIDTH, HEIGHT),
    VideoFrame: new VideoFrame(canvas, { timestamp: 0 }),
    HTMLVideoElement: await video(canvas),
  };
}

/** Plays the canvas as a video. */
async function video(canvas) {
  const element = document.createElement('video');
  Object.assign(element, { muted: true, srcObject: canvas.captureStream(30) });
  const loaded = new Promise((resolve) => element.addEventListener('loadeddata', resolve));
  // The video captures only frames that are drawn from now on.
  const again = setInterval(() => canvas.getContext('2d').drawImage(canvas, 0, 0), 20);
  await Promise.all([loaded, element.play()]);
  clearInterval(again);
  return element;
}

async function texels(device, source, flipY) {
  const texture = device.createTexture({
    size: [WIDTH, HEIGHT],
    format: 'rgba8unorm',
    usage: GPUTextureUsage.COPY_DST | GPUTextureUsage.COPY_SRC | GPUTextureUsage.RENDER_ATTACHMENT,
  });
  const buffer = device.createBuffer({
    size: 256 * HEIGHT,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  device.queue.copyExternalImageToTexture({ source, flipY }, { texture }, [WIDTH, HEIGHT]);
  const encoder = device.createCommandEncoder();
  encoder.copyTextureToBuffer({ texture }, { buffer, bytesPerRow: 256 }, [WIDTH, HEIGHT]);
  device.queue.submit([encoder.finish()]);
  await buffer.mapAsync(GPUMapMode.READ);
  const bytes = new Uint8Array(buffer.getMappedRange());
  const rows = [];
  for (let row = 0; row < HEIGHT; row += 1) rows.push([...bytes.subarray(256 * row, 256 * row + 4 * WIDTH)]);
  return rows;
}

/** @returns the rows of each source, and of one that is flipped. */
export default async function main(host) {
  const gpu = create({ host });
  const device = await (await gpu.requestAdapter()).requestDevice();
  const result = {};
  for (const [name, source] of Object.entries(await sources())) {
    result[name] = await texels(device, source, false);
  }
  result.flipped = await texels(device, drawn(), true);
  try {
    await texels(device, 'a text', false);
  } catch (error) {
    result.refused = `${error.name}: ${error.message}`;
  }
  close(gpu);
  return result;
}
