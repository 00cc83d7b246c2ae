// A triangle in plain WebGPU. This program has no code for Farlight.

import { say } from './page.mjs';
import { drawTriangle } from './triangle-drawing.mjs';

export async function main() {
  const canvas = document.querySelector('canvas');
  const context = canvas.getContext('webgpu');
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter.requestDevice();
  const format = navigator.gpu.getPreferredCanvasFormat();
  context.configure({ device, format, alphaMode: 'premultiplied' });
  drawTriangle(device, format, context.getCurrentTexture());
  await device.queue.onSubmittedWorkDone();
  say(`Drawn by ${adapter.info.description || adapter.info.vendor}.`);
  return { format };
}
