import { globals } from './globals.js';

/** The WebGPU classes and constants as globals. */
export function installGlobals(): void {
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, enumerable: false, writable: true });
  }
}

/** `navigator.gpu`, in place of what is there. */
export function installGpu(navigator: object, gpu: GPU): void {
  Object.defineProperty(navigator, 'gpu', { value: gpu, configurable: true, enumerable: true });
}
