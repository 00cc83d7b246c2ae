import { defineInterface, illegal } from './define.js';

/**
 * https://gpuweb.github.io/gpuweb/#gpucanvascontext: there for `instanceof`. Only a page has canvases, so
 * there is never an object of it.
 */
export class GPUCanvasContext {
  constructor() {
    illegal();
  }
}

defineInterface('GPUCanvasContext', GPUCanvasContext);
