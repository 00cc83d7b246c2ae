import { describe, expect } from 'vitest';
import { parity } from './fixture.js';
import { rejection } from './support.js';

describe('GPU', () => {
  parity('requestAdapter gives a GPUAdapter', async ({ gpu, globals }) => {
    expect(gpu).toBeInstanceOf(globals.GPU);
    expect(await gpu.requestAdapter()).toBeInstanceOf(globals.GPUAdapter);
  });

  parity('requestAdapter gives a new adapter each time', async ({ gpu }) => {
    expect(await gpu.requestAdapter()).not.toBe(await gpu.requestAdapter());
  });

  parity('requestAdapter takes every member of its options', async ({ gpu, globals }) => {
    for (const powerPreference of ['low-power', 'high-performance'] as const) {
      const options = {
        powerPreference,
        forceFallbackAdapter: false,
        featureLevel: 'core',
        xrCompatible: false,
      };
      expect(await gpu.requestAdapter(options)).toBeInstanceOf(globals.GPUAdapter);
    }
  });

  parity('undefined counts as absent', async ({ gpu, globals }) => {
    expect(await gpu.requestAdapter(undefined)).toBeInstanceOf(globals.GPUAdapter);
    expect(await gpu.requestAdapter({ powerPreference: undefined as never })).toBeInstanceOf(
      globals.GPUAdapter,
    );
  });

  parity('null options count as an empty dictionary', async ({ gpu, globals }) => {
    expect(await gpu.requestAdapter(null as never)).toBeInstanceOf(globals.GPUAdapter);
  });

  parity('a feature level that does not exist gives no adapter', async ({ gpu }) => {
    expect(await gpu.requestAdapter({ featureLevel: 'no-such-level' })).toBeNull();
  });

  parity('a fallback adapter says that it is one', async ({ gpu, observe }) => {
    const adapter = await gpu.requestAdapter({ forceFallbackAdapter: true });
    observe('isFallbackAdapter', adapter?.info.isFallbackAdapter);
  });

  parity('an unknown power preference rejects with a TypeError', async ({ gpu }) => {
    const reason = await rejection(gpu.requestAdapter({ powerPreference: 'fast' as never }));
    expect(reason).toBeInstanceOf(TypeError);
  });

  parity(
    'options that are not an object reject with a TypeError',
    async ({ gpu }) => {
      expect(await rejection(gpu.requestAdapter('core' as never))).toBeInstanceOf(TypeError);
    },
    { deviation: 'a string is taken for a dictionary' },
  );

  parity('getPreferredCanvasFormat returns a format', ({ gpu }) => {
    expect(['rgba8unorm', 'bgra8unorm']).toContain(gpu.getPreferredCanvasFormat());
  });

  parity(
    'wgslLanguageFeatures is always the same object, with the features of the host',
    ({ gpu, globals, observe }) => {
      expect(gpu.wgslLanguageFeatures).toBe(gpu.wgslLanguageFeatures);
      expect(gpu.wgslLanguageFeatures).toBeInstanceOf(globals.WGSLLanguageFeatures);
      observe('features', [...gpu.wgslLanguageFeatures].sort());
      observe('size', gpu.wgslLanguageFeatures.size);
    },
  );
});
