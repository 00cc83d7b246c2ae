import { patchDrawImage, patchGetContext } from './canvas-contexts.js';
import { pace } from './pace.js';

let installed = false;

/** Has canvases show what the host draws, and a program that animates wait where the host is slower than the screen. */
export function installCanvases(): void {
  if (installed) return;
  installed = true;
  patchGetContext();
  patchDrawImage();
  if (!('requestAnimationFrame' in globalThis)) return;
  globalThis.requestAnimationFrame = (callback) => pace.request(callback);
  globalThis.cancelAnimationFrame = (id) => pace.cancel(id);
}
