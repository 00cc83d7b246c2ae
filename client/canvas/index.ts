/// <reference types="@webgpu/types" preserve="true" />
/**
 * `farlight/canvas`: canvases for a process that has no page. They are WebGPU's, on whichever GPU the program has.
 */
import { Canvas, type CanvasContext } from './canvas.js';

export { Canvas, type CanvasContext } from './canvas.js';
export { cancelAnimationFrame, requestAnimationFrame } from './frames/animation.js';
export { install } from './install.js';
export type { Picture } from './picture.js';
export type { Frame } from './presentation.js';

/**
 * The WebGPU context of a new canvas; the canvas is its `canvas`.
 *
 * @throws TypeError where the size is none.
 */
export function canvasContext({ width, height }: { width: number; height: number }): CanvasContext {
  return new Canvas(width, height).getContext('webgpu') as CanvasContext;
}
