/** A timer that only keeps the event loop turning; setTimeout takes no longer delay. */
import { clearTimeout, setTimeout } from '../../link/machine/clock.js';

const NEVER_MS = 2 ** 31 - 1;

type Compile = (...args: unknown[]) => Promise<unknown>;
/** Absent where V8 may not make code (--jitless). */
const { WebAssembly } = globalThis as { WebAssembly?: Record<'compile' | 'instantiate', Compile> };

/**
 * Keeps the event loop turning while a WebAssembly module is compiled. Node does not count that as
 * something to wait for: with nothing else to do it takes the program for finished, drains V8's
 * background tasks, and runs what follows the compilation inside of that, where no answer of the host
 * can arrive before V8 has optimised the whole module (half a minute for ONNX Runtime Web).
 */
export function stayAwakeWhileCompiling(): void {
  if (!WebAssembly) return;
  for (const method of ['compile', 'instantiate'] as const) {
    const compile = WebAssembly[method];
    const awake: Compile = (...args) => {
      const timer = setTimeout(() => {}, NEVER_MS);
      return compile.apply(WebAssembly, args).finally(() => clearTimeout(timer));
    };
    // Where it is frozen (--frozen-intrinsics) it stays as it is.
    Reflect.defineProperty(WebAssembly, method, {
      value: awake,
      writable: true,
      configurable: true,
      enumerable: true,
    });
  }
}
