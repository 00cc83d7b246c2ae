/// <reference types="@webgpu/types" preserve="true" />
/** `farlight/canvas`: WebGPU canvases for a process without a page, on any GPU that the program has. */
import { Canvas, type CanvasContext } from './canvas.js';

export { Canvas, type CanvasContext } from './canvas.js';
export { cancelAnimationFrame, requestAnimationFrame } from './frames/animation.js';
export { install } from './install.js';
export type { Picture } from './picture.js';
export type { Frame } from './presentation.js';

/**
 * The WebGPU context of a new canvas; the canvas is its `canvas` attribute.
 *
 * @throws TypeError if the size is not valid.
 */
export function canvasContext({ width, height }: { width: number; height: number }): CanvasContext {
  return new Canvas(width, height).getContext('webgpu') as CanvasContext;
}
