// What three.js takes from a page beside WebGPU, for a process that has no page.

// Its renderer looks in `self` for animation frames, and asks for one after the other from the first render() to
// dispose(). The timers keep the process alive meanwhile, as a program that animates expects.
const FRAME_MS = 1000 / 60;
globalThis.self ??= globalThis;
globalThis.requestAnimationFrame ??= (callback) => setTimeout(() => callback(performance.now()), FRAME_MS);
globalThis.cancelAnimationFrame ??= clearTimeout;

/**
 * Stands in for the canvas that a renderer belongs to. It has a size and a style to set the size in, and no context:
 * the picture has to go to a RenderTarget (`renderer.setOutputRenderTarget`).
 */
export function createCanvas(width, height) {
  return { width, height, style: {} };
}
