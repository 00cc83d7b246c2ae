import { clearTimeout, setTimeout } from '../../link/machine/clock.js';

/** A timer that only keeps the event loop turning; setTimeout takes no longer delay. */
const NEVER_MS = 2 ** 31 - 1;

type Compile = (...args: unknown[]) => Promise<unknown>;
/** Missing where V8 must not make code (--jitless). */
const { WebAssembly } = globalThis as { WebAssembly?: Record<'compile' | 'instantiate', Compile> };

/**
 * Keeps the event loop turning while a WebAssembly module compiles. Node does not wait for compilations. With
 * nothing else to do it ends the program's loop, drains V8's background tasks, and runs the code behind the
 * compilation during that. No reply of the host can arrive there until V8 has optimized the whole module:
 * half a minute for ONNX Runtime Web.
 */
export function stayAwakeWhileCompiling(): void {
  if (!WebAssembly) return;
  for (const method of ['compile', 'instantiate'] as const) {
    const compile = WebAssembly[method];
    const awake: Compile = (...args) => {
      const timer = setTimeout(() => {}, NEVER_MS);
      return compile.apply(WebAssembly, args).finally(() => clearTimeout(timer));
    };
    // With --frozen-intrinsics it cannot be replaced, and stays as it is.
    Reflect.defineProperty(WebAssembly, method, {
      value: awake,
      writable: true,
      configurable: true,
      enumerable: true,
    });
  }
}
